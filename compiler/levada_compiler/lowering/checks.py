"""What is certain to go wrong with values of known types, and what may."""

from __future__ import annotations

import ast
import re

from ..diagnostics.diagnostic import Label
from ..front import declare, types
from ..program.ir import Member
from . import advice
from .values import ANY, FLOAT, INT, STR, Lowered, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..front.declare import Declarations
    from ..program.ir import Parameter, Type
    from .frame import Frame

NUMBERS: Final = ("bool", "int", "float")
SCALARS: Final = (*NUMBERS, "str", "None", "NoneType")
SIZED: Final = ("str", "bytes", "list", "tuple", "dict", "set", "frozenset", "range")
#: Classes from outside the project whose values a pipeline can compute with.
PLAIN_CLASSES: Final = frozenset(
    (
        *("datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta"),
        *("datetime.timezone", "decimal.Decimal", "fractions.Fraction", "uuid.UUID"),
        *("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "pathlib.PurePosixPath"),
        *("pandas.Timestamp", "pandas.Timedelta"),
    )
)
#: Scalars of numpy, which are numbers.
_NUMPY_SCALAR: Final = r"numpy\.(u?int|float|complex)\d*_?|numpy\.(bool_?|number)"
#: Formats of numbers that never raise, by the type of the number.
_SAFE_FORMATS: Final = {
    "float": r"[<>=^]?[-+ ]?0?\d{0,3}[,_]?(\.\d{1,3})?[eEfFgG%]?",
    "int": r"[<>=^]?[-+ ]?0?\d{0,3}[,_]?[dn]?",
    "str": r"[<>^]?\d{0,3}(\.\d{1,3})?s?",
}


# ---------------------------------------------------------------------------- what fits


def fits(declarations: Declarations, value: Lowered, wanted: Type) -> bool:
    """Return whether a value may be given where ``wanted`` is expected."""
    if value.is_static:
        return declare.fits(declarations, value.static, value.type, wanted)
    return types.assignable(value.type, wanted, declarations.bases)


def check_argument(
    frame: Frame, parameter: Parameter, value: Lowered, span: Span, function: str
) -> None:
    """Report an argument whose type is not that of its parameter."""
    if value.poisoned or fits(frame.building.declarations, value, parameter.type):
        return
    given, wanted = types.text(value.type), types.text(parameter.type)
    frame.reports.error(
        "type-mismatch",
        span,
        f"`{parameter.name}` of `{function}` is `{wanted}`, but this is `{given}`",
        labels=(Label(parameter.span, f"declared as `{wanted}` here"),),
        help=f"give a value of type `{wanted}`, or change the annotation of `{parameter.name}`",
    )


def report_mismatch(frame: Frame, span: Span, name: str, given: Type, wanted: Type) -> None:
    """Report a value whose type is not the declared one."""
    expected = types.text(wanted)
    frame.reports.error(
        "type-mismatch",
        span,
        f"`{name}` is `{expected}`, but this is `{types.text(given)}`",
        help=f"give a value of type `{expected}`, or change the annotation",
    )


def check_iterable(frame: Frame, node: ast.expr, value: Lowered) -> bool:
    """Return whether a value may be looped over, after a report where it cannot be."""
    names = {each.name for each in _options(value.type)}
    if names <= {"int", "float", "bool", "None", "NoneType", "complex"}:
        frame.reports.error(
            "not-iterable",
            frame.span(node),
            f"a value of type `{types.text(value.type)}` cannot be looped over",
            labels=(Label(value.expr.span, "this is where it comes from"),),
            help="loop over a list, or over `range(…)`",
        )
        return False
    fields = frame.building.declarations.fields(value.type)
    if fields is not None and fields.kind == "object":
        frame.reports.error(
            "not-iterable",
            frame.span(node),
            f"`{types.text(value.type)}` cannot be looped over",
            labels=(Label(value.expr.span, "this is where it comes from"),),
            help="loop over a list; its fields are named outputs",
        )
        return False
    return check_plain(frame, node, (value,))


def check_plain(
    frame: Frame, node: ast.AST, values: Iterable[Lowered], *, equality: bool = False
) -> bool:
    """Return whether values can be computed with, after a report where one cannot be."""
    for value in values:
        if not check_no_member(frame, frame.span(node), value):
            return False
        kind = next((each for each in _options(value.type) if not _is_plain(frame, each)), None)
        is_own = kind is not None and ":" in kind.name
        if kind is None or (equality and is_own) or None in (value, kind):
            continue
        if value.type.name == "union" and any(_is_plain(frame, e) for e in _options(value.type)):
            continue  # it may be the plain one
        advice.report_computing(frame, node, value, kind)
        return False
    return True


def check_no_member(frame: Frame, span: Span, value: Lowered) -> bool:
    """Return whether a value is no member of an enumeration, after a report where it is one."""
    if not isinstance(value.expr, Member):
        return True
    frame.reports.error(
        "enum-member",
        span,
        "a pipeline can pass on and compare members of an enumeration, nothing else",
        labels=(Label(value.expr.span, "this is a member"),),
        help="compute with its `.value`, or pass the member to a step",
    )
    return False


def _options(kind: Type) -> tuple[Type, ...]:
    return kind.arguments if kind.name == "union" else (kind,)


def _is_plain(frame: Frame, kind: Type) -> bool:
    """Return whether values of a type may be computed with, as far as that is known."""
    if kind.name in PLAIN_CLASSES or kind.name.startswith(("collections.abc.", "typing.")):
        return True
    if kind.name.startswith("numpy.") and re.fullmatch(_NUMPY_SCALAR, kind.name):
        return True
    if ":" in kind.name:
        fields = frame.building.declarations.fields(kind)
        is_tuple = fields is not None and fields.kind in ("namedtuple", "typeddict")
        return bool(kind.values) or is_tuple
    return "." not in kind.name


# ---------------------------------------------------------------------------- operators


def item_type(kind: Type, index: object) -> Type:
    """Return the type of ``value[index]``."""
    if kind.name == "tuple" and isinstance(index, int) and types.ELLIPSIS not in kind.arguments:
        return kind.arguments[index] if -len(kind.arguments) <= index < len(kind.arguments) else ANY
    if kind.name == "dict":
        return kind.arguments[1] if len(kind.arguments) == 2 else ANY
    if kind.name in ("list", "tuple"):
        return types.element(kind)
    return STR if kind.name == "str" else ANY


def arithmetic_type(
    frame: Frame, node: ast.AST, symbol: str, left: Lowered, right: Lowered
) -> Type:
    """Return the type of ``left symbol right``, after a report where Python would surely raise."""
    names = (left.type.name, right.type.name)
    if all(name in NUMBERS for name in names):
        return FLOAT if symbol == "/" or "float" in names else INT
    if names == ("str", "str") and symbol == "+":
        return STR
    if "str" in names and symbol in "*%":
        return STR
    if all(name in SCALARS for name in names):
        frame.reports.error(
            "type-mismatch",
            frame.span(node),
            f"`{symbol}` is not defined for `{types.text(left.type)}` "
            f"and `{types.text(right.type)}`",
            help="use an f-string to put a number into a text",
        )
    if names[0] != names[1]:
        return ANY
    return _OF_ANOTHER_TYPE.get((names[0], symbol)) or types.union((left.type, right.type))


#: What two values of one type give, where it is not a value of that type.
_OF_ANOTHER_TYPE: Final = {
    ("datetime.date", "-"): named("datetime.timedelta"),
    ("datetime.datetime", "-"): named("datetime.timedelta"),
    ("datetime.timedelta", "/"): FLOAT,
    ("datetime.timedelta", "//"): INT,
    ("fractions.Fraction", "//"): INT,
}


def arithmetic_may_raise(symbol: str, left: Lowered, right: Lowered) -> bool:
    """Return whether ``left symbol right`` may raise."""
    names = (left.type.name, right.type.name)
    if symbol in ("+", "-", "*") and all(name in NUMBERS for name in names):
        return False
    return not (symbol == "+" and names in (("str", "str"), ("list", "list")))


def check_comparable(
    frame: Frame, node: ast.AST, op: ast.cmpop, left: Lowered, right: Lowered
) -> None:
    """Report an ordering that Python would surely refuse."""
    names = (left.type.name, right.type.name)
    ordered = isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    if not ordered or not all(name in SCALARS for name in names):
        return
    if all(name in NUMBERS for name in names) or names == ("str", "str"):
        return
    frame.reports.error(
        "type-mismatch",
        frame.span(node),
        f"`{types.text(left.type)}` and `{types.text(right.type)}` cannot be compared",
        help="compare values of the same kind",
    )


def comparison_may_raise(ops: Sequence[ast.cmpop], operands: Sequence[Lowered]) -> bool:
    """Return whether a chain of comparisons may raise."""
    pairs = zip(ops, operands, operands[1:], strict=False)
    return any(_pair_may_raise(op, left, right) for op, left, right in pairs)


def _pair_may_raise(op: ast.cmpop, left: Lowered, right: Lowered) -> bool:
    if isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
        return False
    if isinstance(op, ast.In | ast.NotIn):
        in_text = right.type.name == "str" and left.type.name == "str"
        return not (in_text or right.type.name in ("list", "tuple", "range"))
    names = (left.type.name, right.type.name)
    return not (all(name in NUMBERS for name in names) or names == ("str", "str"))


def format_is_safe(kind: Type, conversion: str, form: str) -> bool:
    """Return whether a format specification never raises for values of a type."""
    safe = _SAFE_FORMATS.get("str" if conversion else kind.name)
    return safe is not None and re.fullmatch(safe, form) is not None
