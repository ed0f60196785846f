"""Targets of assignments and loops: a name, several names, or an item of a list or dict."""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..front import types
from ..program.ir import Attribute
from ..slotted import replace
from . import accumulators, checks
from .values import Lowered, display, made_of, named, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..program.ir import Type
    from .frame import Frame


def assign(frame: Frame, target: ast.expr, value: Lowered) -> None:
    """Bind what a target names to a value, unpacking as needed."""
    if isinstance(target, ast.Name):
        frame.bind(target.id, frame.keep(value, target.id))
    elif isinstance(target, ast.Tuple | ast.List):
        _unpack(frame, target, value)
    elif isinstance(target, ast.Subscript):
        accumulators.set_item(frame, target, value)
    elif isinstance(target, ast.Starred):
        refuse(frame, target, "a starred target", "name the items one by one")
    else:
        refuse(frame, target, "an attribute", "assign to a name; change values in a step")


def refuse(frame: Frame, target: ast.expr, what: str, way_out: str) -> None:
    """Report a target that is not a name, and poison the names in it."""
    frame.reports.error(
        "unsupported-statement",
        frame.span(target),
        f"{what} cannot be assigned to in a pipeline",
        help=way_out,
    )
    for name in stored_names(target):
        if isinstance(target, ast.Starred):
            frame.bind(name, poison(frame.span(target)))


def stored_names(target: ast.expr) -> list[str]:
    """Return the names in a target."""
    return [item.id for item in ast.walk(target) if isinstance(item, ast.Name)]


def first_name(target: ast.expr) -> str:
    """Return the first name of a target that says something."""
    names = [name.strip("_") for name in stored_names(target)]
    return next(filter(None, names), "each")


# ---------------------------------------------------------------------------- unpacking


def _unpack(frame: Frame, target: ast.Tuple | ast.List, value: Lowered) -> None:
    stars = [at for at, each in enumerate(target.elts) if isinstance(each, ast.Starred)]
    if stars:
        items = _starred_items(frame, target, value, stars[0])
    else:
        items = None if value.poisoned else item_values(frame, target, value, len(target.elts))
    for index, element in enumerate(target.elts):
        inner = element.value if isinstance(element, ast.Starred) else element
        item = poison(frame.span(element)) if items is None else items[index]
        assign(frame, inner, item)


def _starred_items(
    frame: Frame, target: ast.Tuple | ast.List, value: Lowered, star: int
) -> tuple[Lowered, ...] | None:
    """Return the items for ``a, *rest, b``: those of a known length, or parts of a list."""
    if value.poisoned:
        return None
    span = frame.span(target)
    items = frame.items_of(value, span)
    behind = len(target.elts) - star - 1
    if items is None:
        items = _run_time_items(frame, target, value, len(target.elts), star)
        if items is None or not _is_tuple(frame, value.type):
            return items
    if len(items) < star + behind:
        frame.reports.error(
            "unpack-mismatch",
            span,
            f"at least {star + behind} values are needed, and there are {len(items)}",
            labels=(Label(value.expr.span, f"this gives {len(items)} values"),),
            help="name fewer",
        )
        return None
    rest = frame.made(display("list", items[star : len(items) - behind], span), span)
    return (*items[:star], replace(rest, fresh=True), *items[len(items) - behind :])


def item_values(
    frame: Frame, target: ast.Tuple | ast.List, value: Lowered, count: int
) -> tuple[Lowered, ...] | None:
    """Return the ``count`` items of a value; None after a diagnostic."""
    span = frame.span(target)
    items = frame.items_of(value, span)
    if items is None:
        items = _run_time_items(frame, target, value, count)
    if items is not None and len(items) != count:
        frame.reports.error(
            "unpack-mismatch",
            span,
            f"{count} names for {len(items)} values",
            labels=(Label(value.expr.span, f"this gives {len(items)} values"),),
            help=f"name all {len(items)}: use `_` for those that you do not need",
        )
        return None
    return items


def _is_tuple(frame: Frame, kind: Type) -> bool:
    """Return whether values of a type have a known number of items."""
    fields = frame.building.declarations.fields(kind)
    return fields is not None and fields.kind in ("tuple", "namedtuple")


def _run_time_items(
    frame: Frame, target: ast.expr, value: Lowered, count: int, star: int | None = None
) -> tuple[Lowered, ...] | None:
    """Return the items of a value of the run for ``count`` names, that at ``star`` takes the rest.

    Of a tuple of known length all items are returned, whatever the names are.
    """
    fields = frame.building.declarations.fields(value.type)
    span = frame.span(target)
    if fields is not None and fields.kind in ("tuple", "namedtuple"):
        names = value.labels or tuple(fields.types)
        pairs = zip(names, fields.types.values(), strict=True)
        return tuple(made_of(Attribute(value.expr, n, span), k, (value,)) for n, k in pairs)
    if fields is not None or not may_be_sequence(value.type):
        frame.reports.error(
            "unpack-mismatch",
            span,
            f"a value of type `{types.text(value.type)}` cannot be unpacked",
            labels=(Label(value.expr.span, "this is what would be unpacked"),),
            help="return a tuple or a NamedTuple, or use its named outputs",
        )
        return None
    if not checks.check_plain(frame, target, (value,)):
        return None
    value = frame.keep(value, first_name(target))
    kind = types.element(value.type)
    # How many there are is only known in the run, which has to fail as Python does.
    among = f"of{count}" if star is None else f"of{count}at{star}"
    return tuple(
        made_of(
            Attribute(value.expr, f"{index}{among}", span),
            named("list", (kind,)) if index == star else kind,
            (value,),
            raises=True,
            fresh=index == star,
        )
        for index in range(count)
    )


def may_be_sequence(kind: Type) -> bool:
    """Return whether values of a type may have items."""
    return kind.name not in ("int", "float", "bool", "None", "complex", "NoneType")
