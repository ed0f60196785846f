"""Conditions that CEL decides exactly as Python does; for all others there is a decision step.

These are comparisons of a parameter with a constant of its declared type, a parameter that is a
bool, and ``and``, ``or``, ``not`` over such. KFP gives a parameter to CEL as it was given to the
run, numbers as doubles (``backend/src/v2/driver``). What a step returned may be of any type, so it
is never among them.
"""

from __future__ import annotations

import math
import re

from levada_compiler.program.ir import BoolOp, Compare, Const, Param, Unary
from levada_compiler.slotted import dataclass

from .parameters import LARGEST_INTEGER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.program.ir import Expr, Scalar

#: Said in the file where a task decides instead.
WHY_NOT = "a step: CEL cannot be sure to decide this as Python does"

_FLIPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
#: Strings that need no escape in CEL, nor anywhere on the way there.
_SAFE = r"[A-Za-z0-9 _.,:;/+*=<>()@#~^-]*"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition in CEL, and the pipeline's parameters that it reads."""

    text: str
    parameters: tuple[str, ...]


def condition(expression: Expr, types: Mapping[str, str]) -> Condition | None:
    """The condition in CEL; None if it might not be the same as in Python.

    ``types`` holds the declared type of each parameter, where it is a plain one.
    """
    found: list[str] = []
    text = _truth(expression, types, found)
    return None if text is None else Condition(text, tuple(dict.fromkeys(found)))


def value_of(name: str) -> str:
    """A parameter of the DAG that the condition stands in."""
    return f"inputs.parameter_values['{name}']"


def _truth(expression: Expr, types: Mapping[str, str], found: list[str]) -> str | None:
    match expression:
        case Param(name=name) if types.get(name) == "bool":
            found.append(name)
            return f"{value_of(name)} == true"
        case Unary(op="not", operand=operand):
            inner = _truth(operand, types, found)
            return None if inner is None else f"!({inner})"
        case BoolOp(op=op, operands=operands):
            parts = [_truth(operand, types, found) for operand in operands]
            known = [f"({part})" for part in parts if part is not None]
            return (" && " if op == "and" else " || ").join(known) if all(parts) else None
        case Compare(operands=(Param(name=name), Const(value=value)), ops=(op,)):
            return _comparison(name, op, value, types, found)
        case Compare(operands=(Const(value=value), Param(name=name)), ops=(op,)):
            return _comparison(name, _FLIPPED.get(op, ""), value, types, found)
        case _:
            return None


def _comparison(
    name: str, op: str, value: Scalar, types: Mapping[str, str], found: list[str]
) -> str | None:
    kind = types.get(name, "")
    if op not in _FLIPPED or (kind in ("str", "bool") and op not in ("==", "!=")):
        return None
    literal = _literal(kind, value)
    if literal is None:
        return None
    found.append(name)
    return f"{value_of(name)} {op} {literal}"


def _literal(kind: str, value: Scalar) -> str | None:
    """The constant in CEL, if it is of the parameter's own type; numbers are doubles there."""
    if kind == "str" and isinstance(value, str) and re.fullmatch(_SAFE, value):
        return f"'{value}'"
    if kind == "bool" and isinstance(value, bool):
        return "true" if value else "false"
    if kind not in ("int", "float") or isinstance(value, bool):
        return None
    if isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
        return f"{value}.0"
    return repr(value) if isinstance(value, float) and math.isfinite(value) else None


#: Compiled when there is a condition to look at, as `_REDUCIBLE` is.
_WORD = (
    r"\s*(?:(?P<name>inputs\.parameter_values\['(?P<input>[^']+)'\])"
    r"|(?P<literal>'[^'\\]*'|-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|true|false)"
    r"|(?P<op>==|!=|<=|>=|<|>|&&|\|\||!|\(|\)))"
)


def problem(text: str, given: Mapping[str, object]) -> str:
    """What is wrong with a condition as this module writes them; nothing if all is right.

    It is a comparison of an input with a literal, and such with ``&&``, ``||``, ``!`` and
    parentheses.
    """
    shape, position = "", 0
    while position < len(text):
        found = re.compile(_WORD).match(text, position)
        if found is None:
            return f"`{text[position : position + 20]}` is none of CEL that KFP could decide"
        if found["name"] and found["input"] not in given:
            return f"there is no input `{found['input']}`"
        shape += _shape(found)
        position = found.end()
    while True:
        simpler = re.sub(_REDUCIBLE, "t", shape)
        if simpler == shape:
            return "" if shape == "t" else "it is not whole"
        shape = simpler


#: A comparison, a negation, parentheses, or two of these combined: each is a truth value.
_REDUCIBLE = r"[nl]c[nl]|!t|\(t\)|t[&|]t"


def _shape(token: re.Match[str]) -> str:
    if token["name"] or token["literal"]:
        return "n" if token["name"] else "l"
    return {"&&": "&", "||": "|", "!": "!", "(": "(", ")": ")"}.get(token["op"], "c")
