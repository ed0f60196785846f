"""Instances as dicts, and with some fields changed: `asdict`, `model_dump`, `_asdict`, `replace`.

The fields are those that the class declares, so that a dict of them has known keys.
"""

from __future__ import annotations

import ast

from ..program.ir import (
    Attribute,
    Clause,
    Compare,
    Comprehension,
    Conditional,
    Const,
    Display,
    Instance,
    Item,
    Method,
    Target,
)
from ..slotted import replace
from .arguments import lower_arguments
from .values import ANY, Lowered, constant, dict_display, display, made_of, named, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from ..diagnostics.diagnostic import Span
    from ..front.declare import Constructor
    from ..program.ir import Type
    from .arguments import Given
    from .frame import Frame

_DEEPEST: Final = 20


class _CannotError(Exception):
    """Why an instance cannot be taken apart while compiling."""


def method(frame: Frame, node: ast.Call, owner: Lowered, name: str, kind: str) -> Lowered | None:
    """Return the result of the method ``name`` of an instance of a ``kind`` of class.

    It is None where the class of ``owner`` is not of that kind.
    """
    shape = _shape(frame, owner.type)
    if shape is None or shape.kind != kind:
        return None
    given = lower_arguments(frame, node)
    if owner.poisoned or given.is_poisoned:
        return poison(frame.span(node))
    return _made(frame, node, owner, name, given)


def function(frame: Frame, node: ast.Call, qualified: str) -> Lowered:
    """Return what `dataclasses.asdict(x)` or `dataclasses.replace(x, …)` gives."""
    given = lower_arguments(frame, node)
    if given.is_poisoned:
        return poison(frame.span(node))
    owner = given.positional[0] if given.positional else constant(None, frame.span(node))
    given.positional[:1] = []
    return _made(frame, node, owner, qualified.rpartition(".")[2], given)


def _made(frame: Frame, node: ast.Call, owner: Lowered, name: str, given: Given) -> Lowered:
    span = frame.span(node)
    try:
        if name in ("replace", "_replace"):
            return _replaced(frame, owner, given, span)
        keys = _chosen(given)
        made = _as_dict(frame, owner, span, is_deep=name != "_asdict", depth=0)
    except _CannotError as error:
        frame.reports.error(
            "not-a-step",
            span,
            f"`{frame.text(node.func)}` cannot be computed in a pipeline: {error}",
            help="call it in a step, or write the fields: `{'lr': config.lr}`",
        )
        return poison(span)
    if keys is None:
        return made
    pairs = tuple((key, value) for key, value in made.pairs or () if keys(key.static))
    return replace(dict_display(pairs, span), fresh=True)


def _shape(frame: Frame, kind: Type) -> Constructor | None:
    declarations = frame.building.declarations
    definition = declarations.definition(kind.name) if ":" in kind.name else None
    return None if definition is None else declarations.constructor(definition)


def _chosen(given: Given) -> Callable[[object], bool] | None:
    """Return what tells by its name whether a field is in the dict; None for all of them."""
    keywords = dict(given.keywords)
    mode = keywords.pop("mode", None)
    if given.positional or given.open is not None or (mode is not None and mode.static != "python"):
        raise _CannotError("it takes `include` and `exclude` here, and no more")
    names = {key: value.static for key, value in keywords.items()}
    if not names:
        return None
    if set(names) - {"include", "exclude"} or not all(
        isinstance(each, set | frozenset | list | tuple) for each in names.values()
    ):
        raise _CannotError("it takes `include` and `exclude` as sets of names, and no more")
    include: Any = names.get("include")
    exclude: Any = names.get("exclude", ())
    return lambda name: (include is None or name in include) and name not in exclude


# ---------------------------------------------------------------------------- fields


def _fields(frame: Frame, value: Lowered) -> tuple[Constructor, dict[str, Lowered]]:
    """Return how the class of an instance is made, and its fields."""
    declarations = frame.building.declarations
    shape = _shape(frame, value.type)
    if shape is None or shape.kind == "typeddict":
        raise _CannotError("its class is not known; annotate where it comes from")
    definition = declarations.definition(value.type.name)
    assert definition is not None  # noqa: S101 - its constructor is known
    if len(declarations.class_fields(definition)) != len(shape.parameters):
        raise _CannotError(f"`{definition.node.name}` has fields that it fills in by itself")
    if shape.kind == "pydantic" and any(
        each.decorator_list
        for each in definition.node.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ):
        raise _CannotError(f"`{definition.node.name}` has validators or serializers of its own")
    if value.fields is not None:
        return shape, dict(value.fields)
    span = value.expr.span
    return shape, {
        each.name: made_of(Attribute(value.expr, each.name, span), each.type, (value,))
        for each in shape.parameters
    }


def _as_dict(frame: Frame, value: Lowered, span: Span, *, is_deep: bool, depth: int) -> Lowered:
    if depth > _DEEPEST:
        raise _CannotError("its class contains itself")
    if not depth:
        value = frame.keep(value, "record")
    _, fields = _fields(frame, value)
    pairs = tuple(
        (constant(name, span), _dumped(frame, field, span, depth + 1) if is_deep else field)
        for name, field in fields.items()
    )
    return replace(dict_display(pairs, span), fresh=not depth)


def _dumped(frame: Frame, value: Lowered, span: Span, depth: int) -> Lowered:
    """Return a field with the instances in it as dicts."""
    if not _holds_instance(frame, value.type, depth):
        return replace(value, fresh=False, cell=None)
    if _shape(frame, value.type) is not None:
        return _as_dict(frame, value, span, is_deep=True, depth=depth)
    kind, arguments = value.type.name, value.type.arguments
    if value.parts is not None and kind in ("list", "tuple"):
        return display(kind, tuple(_dumped(frame, e, span, depth) for e in value.parts), span)
    if kind == "list":
        return _of_items(frame, value, span, depth)
    if kind == "dict" and len(arguments) == 2:
        return _of_dict(frame, value, span, depth)
    options = [each for each in arguments if each.name != "None"]
    if kind == "union" and len(options) == 1:
        inner = _dumped(frame, replace(value, type=options[0]), span, depth)
        none = Const(None, span)
        test = Compare((value.expr, none), ("is",), span)
        return made_of(Conditional(test, none, inner.expr, span), ANY, (value, inner))
    raise _CannotError(f"what is in a field of type `{value.type.text}` is known only in the run")


def _holds_instance(frame: Frame, kind: Type, depth: int) -> bool:
    if depth > _DEEPEST:
        raise _CannotError("its class contains itself")
    shape = _shape(frame, kind)
    if shape is not None and shape.kind == "namedtuple":
        if any(_holds_instance(frame, each.type, depth + 1) for each in shape.parameters):
            raise _CannotError("a NamedTuple in it holds other instances")
        return False
    is_record = shape is not None and shape.kind in ("dataclass", "pydantic")
    return is_record or any(_holds_instance(frame, each, depth + 1) for each in kind.arguments)


def _of_items(frame: Frame, value: Lowered, span: Span, depth: int) -> Lowered:
    loop, variable = frame.new_id("for_each"), frame.new_variable("each")
    item = Lowered(Item(loop, variable, span), value.type.arguments[0])
    inner = _dumped(frame, item, span, depth)
    clause = Clause(Target((variable,), is_tuple=False), value.expr, ())
    expr = Comprehension(loop, "list", inner.expr, (clause,), span)
    return made_of(expr, named("list"), (value, inner))


def _of_dict(frame: Frame, value: Lowered, span: Span, depth: int) -> Lowered:
    loop = frame.new_id("for_each")
    key, variable = frame.new_variable("key"), frame.new_variable("each")
    item = Lowered(Item(loop, variable, span), value.type.arguments[1])
    inner = _dumped(frame, item, span, depth)
    items = Method(value.expr, "items", (), span)
    clause = Clause(Target((key, variable), is_tuple=True), items, ())
    element = Display("tuple", (Item(loop, key, span), inner.expr), span)
    expr = Comprehension(loop, "dict", element, (clause,), span)
    return made_of(expr, named("dict"), (value, inner))


# ---------------------------------------------------------------------------- changed copies


def _replaced(frame: Frame, owner: Lowered, given: Given, span: Span) -> Lowered:
    """Return the instance with other values in some fields."""
    changes = dict(given.keywords)
    if given.positional or given.open is not None:
        raise _CannotError("it takes the fields by their names")
    owner = frame.keep(owner, "record")
    shape, fields = _fields(frame, owner)
    unknown = sorted(set(changes) - set(fields))
    if unknown:
        raise _CannotError(f"there is no field `{unknown[0]}`")
    if shape.kind == "pydantic":
        raise _CannotError("a pydantic model is copied by its own methods")
    fields |= {name: replace(value, fresh=False, cell=None) for name, value in changes.items()}
    kind = "made" if shape.runs_code else shape.kind
    pairs = tuple((name, value.expr) for name, value in fields.items())
    made = made_of(
        Instance(owner.type.name, kind, pairs, span),
        owner.type,
        fields.values(),
        raises=shape.runs_code,
    )
    parts = tuple(fields.values()) if shape.kind == "namedtuple" else None
    return replace(made, fields=None if shape.runs_code else fields, parts=parts)
