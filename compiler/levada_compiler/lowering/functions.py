"""Calls of functions, methods and classes that a pipeline computes with itself."""

from __future__ import annotations

import ast

from levada import operations

from ..diagnostics.diagnostic import Label
from ..diagnostics.reports import did_you_mean
from ..front import constants, keyword_arguments, types
from ..front import modules as m
from ..front.not_constant import NotConstantError
from ..program.ir import Apply, Instance, Method, Starred, Type
from ..slotted import replace
from . import checks, results
from .arguments import Binder, lower_arguments
from .function_values import TAKING
from .values import (
    ANY,
    Lowered,
    constant,
    dict_display,
    display,
    known_pairs,
    made_of,
    poison,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from ..diagnostics.diagnostic import Span
    from .arguments import Given
    from .frame import Frame

#: Functions whose result is as long as is known, if that of their arguments is.
_STRUCTURAL: Final[dict[str, Callable[..., Any]]] = {
    "list": list,
    "tuple": tuple,
    "reversed": lambda items: list(reversed(items)),
    "enumerate": lambda items, start=0: list(enumerate(items, start)),
    "zip": lambda *columns, strict=False: list(zip(*columns, strict=strict)),
}
_ITERTOOLS: Final = ("chain", "combinations", "pairwise", "permutations", "product")
#: Functions that take what they go over as their first argument.
_ITERATING: Final = frozenset(
    ("sum", "any", "all", "sorted", "list", "tuple", "set", "frozenset", "enumerate", "reversed")
)
#: What gives an iterator in Python: a step would be given a list instead.
ITERATORS: Final = ("enumerate", "zip", "reversed")


def apply(frame: Frame, node: ast.Call, name: str) -> Lowered:
    """Return the value of a call of one of the evaluator's functions, by its text name."""
    span = frame.span(node)
    keyword_arguments.check_function(node, name)
    given = lower_arguments(frame, node, TAKING.get(name, ()))
    if given.is_poisoned:
        return poison(span)
    known = _structured(frame, node, name, given)
    if known is not None:
        return known
    if given.is_static:
        return constant(constants.call(name, *given.as_static(), node, frame.budget), span)
    values = given.values()
    if (
        name in _ITERATING
        and given.positional
        and not checks.check_iterable(frame, node.args[0], given.positional[0])
    ):
        return poison(span)
    if not checks.check_plain(frame, node, values):
        return poison(span)
    kinds = [value.type for value in given.positional]
    kind, raises = results.function(name, kinds)
    if _has_star(given) and name in ("zip", "min", "max"):
        kind = ANY  # of as many columns as there are in the run
    raises = raises or bool(given.keywords) or _has_star(given)
    made = made_of(Apply(name, given.expressions(), span), kind, values, raises=raises)
    return replace(made, fresh=name in ("list", "sorted", "dict"))


def _has_star(given: Given) -> bool:
    return any(isinstance(value.expr, Starred) for value in given.positional)


def _structured(frame: Frame, node: ast.Call, name: str, given: Given) -> Lowered | None:
    """Return the value where the number of its items is known; None where it is not."""
    span = frame.span(node)
    if name == "len" and len(given.positional) == 1 and not given.keywords:
        # A list whose items may raise is evaluated for that, though its length is known.
        items = None if given.positional[0].raises else frame.items_of(given.positional[0], span)
        return None if items is None else constant(len(items), span)
    if name == "dict":
        return _dict(frame, given, span)
    function = _STRUCTURAL.get(name)
    short = name.removeprefix("itertools.")
    if function is None and name != short and short in _ITERTOOLS:
        import itertools

        function = getattr(itertools, short)
    if function is None or given.is_static or not _are_known(frame, given, name):
        return None
    columns = [_as_column(frame, value, span) for value in given.positional]
    keywords = {key: value.static for key, value in given.keywords}
    try:
        rows = []
        for row in function(*columns, **keywords):
            frame.pay((5 * (1 + len(row) if isinstance(row, tuple) else 1),), span)
            rows.append(row)
    except (TypeError, ValueError) as error:
        raise NotConstantError(node, str(error), "constant-error") from error
    items = tuple(_row(row, span) for row in rows)
    made = display("tuple" if name == "tuple" else "list", items, span)
    return replace(made, fresh=name == "list")


def _are_known(frame: Frame, given: Given, name: str) -> bool:
    """Return whether all lists among the arguments have a known length."""
    lists = given.positional if name in ("zip", "itertools.product") else given.positional[:1]
    if name in ("itertools.chain",):
        lists = given.positional
    span = lists[0].expr.span if lists else None
    are_lists = all(span and frame.items_of(value, span) is not None for value in lists)
    others = [value for value in given.positional if value not in lists]
    return (
        bool(lists)
        and are_lists
        and all(v.is_static for v in others)
        and all(value.is_static for _, value in given.keywords)
    )


def _as_column(frame: Frame, value: Lowered, span: Span) -> object:
    items = frame.items_of(value, span)
    return value.static if items is None else items


def _row(row: object, span: Span) -> Lowered:
    if isinstance(row, tuple):
        return display("tuple", tuple(_row(item, span) for item in row), span)
    return row if isinstance(row, Lowered) else constant(row, span)


def _dict(frame: Frame, given: Given, span: Span) -> Lowered | None:
    """Return ``dict(…)`` of known pairs and keywords; None for any other."""
    pairs: list[tuple[Lowered, Lowered]] = []
    for value in given.positional:
        known = known_pairs(value, span)
        is_open = known is None and value.type.name != "dict"
        items = frame.items_of(value, span) if is_open else None
        rows = [frame.items_of(item, span) for item in items or ()]
        if known is None and (items is None or any(row is None or len(row) != 2 for row in rows)):
            return None
        pairs += known if known is not None else [(row[0], row[1]) for row in rows if row]
    pairs += [(constant(name, span), value) for name, value in given.keywords]
    made = dict_display(tuple(pairs), span)
    return replace(made, fresh=True) if made.pairs is not None or not pairs else None


# ---------------------------------------------------------------------------- methods


def method(frame: Frame, node: ast.Call, owner: Lowered, name: str) -> Lowered:
    """Return the value of a call of a method of a plain value."""
    span = frame.span(node)
    keyword_arguments.check_method(node, results.plain_name(owner.type))
    place = len(frame.region)
    given = lower_arguments(frame, node)
    if owner.poisoned or given.is_poisoned:
        return poison(span)
    owner = frame.keep_before(owner, place)
    known = _known_method(owner, name, given, span)
    if known is not None:
        return known
    if owner.is_static and given.is_static:
        return constant(
            constants.method(owner.static, name, *given.as_static(), node, frame.budget), span
        )
    if not checks.check_plain(frame, node, (owner, *given.values())):
        return poison(span)
    if not _exists(frame, node, owner.type, name):
        return poison(span)
    kind, raises = results.method(owner.type, name, [value.type for value in given.positional])
    expr = Method(owner.expr, name, given.expressions(), span)
    raises = raises or bool(given.keywords) or _has_star(given)
    return made_of(expr, kind, (owner, *given.values()), raises=raises)


def _known_method(owner: Lowered, name: str, given: Given, span: Span) -> Lowered | None:
    """Return what a method of a dict with known keys gives."""
    pairs = known_pairs(owner, span)
    if pairs is None or given.keywords:
        return None
    if not given.positional and name in ("keys", "values", "items"):
        rows = {
            "keys": [key for key, _ in pairs],
            "values": [value for _, value in pairs],
            "items": [display("tuple", pair, span) for pair in pairs],
        }[name]
        return display("list", tuple(rows), span)
    if name == "get" and 1 <= len(given.positional) <= 2 and given.positional[0].is_static:
        found = [value for key, value in pairs if key.static == given.positional[0].static]
        missing = given.positional[1] if len(given.positional) == 2 else constant(None, span)
        return found[0] if found else missing
    return None


#: Methods that change a value in place, and what to write instead.
_CHANGING: Final = {
    "append": "start a list in the pipeline (`out = []`) and append to that",
    "extend": "start a list in the pipeline (`out = []`) and extend that",
    "insert": "make a new list: `[x, *xs]`",
    "remove": "make a new list: `[x for x in xs if …]`",
    "pop": "take an item (`xs[-1]`) and the rest (`xs[:-1]`)",
    "sort": "make a sorted list: `sorted(xs)`",
    "reverse": "make a reversed list: `xs[::-1]`",
    "clear": "start a new one",
    "update": "make a new dict: `{**a, **b}`",
    "setdefault": "write `d[key] = d.get(key, default)`",
    "popitem": "make a new dict without the key",
    "add": "make a new set: `{*a, x}`",
    "discard": "make a new set: `a - {x}`",
}


def _exists(frame: Frame, node: ast.Call, kind: Type, name: str) -> bool:
    """Return whether values of a type have a method, after a report where they have none."""
    known = operations.METHODS.get(results.plain_name(kind))
    exists = (
        name in known if known is not None else any(name in m for m in operations.METHODS.values())
    )
    if exists:
        return True
    assert isinstance(node.func, ast.Attribute)  # noqa: S101 - a call of a method
    if name in _CHANGING and (known is not None or kind.name == "any"):
        message = f"`{name}` would change the value in place, and other steps may have it too"
        way_out = _CHANGING[name]
    else:
        what = f"a value of type `{types.text(kind)}`" if known is not None else "a plain value"
        message = f"{what} has no method `{name}` that a pipeline can call"
        way_out = did_you_mean(name, known or (), f"call `{name}` in a step")
    frame.reports.error(
        "not-a-step",
        frame.span(node),
        message,
        labels=(Label(frame.span(node.func.value), "this is what it is called on"),),
        help=way_out,
    )
    return False


# ---------------------------------------------------------------------------- instances


def instance(frame: Frame, node: ast.Call, definition: m.Class) -> Lowered | None:
    """Return an instance of a class of the project; None where it is not made of its fields."""
    span = frame.span(node)
    declarations = frame.building.declarations
    shape = declarations.constructor(definition)
    if shape is None:
        return None
    given = lower_arguments(frame, node)
    if given.is_poisoned:
        return poison(span)
    place = definition.module.span(definition.node)
    binder = Binder(frame, span, shape.parameters, definition.node.name, place)
    binder.bind(given)
    if binder.failed or given.open is not None:
        return poison(span)
    bound = {name: value for name, (value, _) in binder.bound.items()}
    fields = {name: replace(value, fresh=False, cell=None) for name, value in bound.items()}
    for name, default in shape.defaults.items():
        fields.setdefault(name, constant(default, span))
    if shape.kind == "typeddict":
        pairs = tuple((constant(name, span), value) for name, value in fields.items())
        return replace(dict_display(pairs, span), fresh=True)
    order = [parameter.name for parameter in shape.parameters if parameter.name in fields]
    fields = {name: fields[name] for name in order}
    is_whole = len(fields) == len(shape.parameters) and not shape.runs_code
    kind = shape.kind if is_whole else "made"  # which fills in its defaults by itself
    given_fields = fields if is_whole else {name: fields[name] for name in order if name in bound}
    values = tuple([(name, value.expr) for name, value in given_fields.items()])
    expr = Instance(definition.key, kind, values, span)
    made = made_of(
        expr,
        Type(definition.key, text=definition.node.name),
        fields.values(),
        raises=shape.runs_code,
    )
    parts = tuple(fields.values()) if shape.kind == "namedtuple" and is_whole else None
    return replace(made, fields=fields if is_whole else None, parts=parts)
