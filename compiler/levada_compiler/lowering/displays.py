"""Lists, tuples, sets and dicts that are written out in a pipeline."""

from __future__ import annotations

import ast

from ..front import constants, types
from ..program.ir import DictDisplay, Display, Starred
from ..slotted import replace
from . import checks
from .lowering import EXPRESSIONS, callable_or_value, expression
from .values import (
    Lowered,
    constant,
    dict_display,
    display,
    known_pairs,
    made_of,
    named,
    poison,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.diagnostic import Span
    from .frame import Frame


def _sequence(frame: Frame, node: ast.List | ast.Tuple) -> Lowered:
    span = frame.span(node)
    kind = "list" if isinstance(node, ast.List) else "tuple"
    items = display_items(frame, node.elts)
    if any(item.poisoned for item in items):
        return poison(span)
    if any(isinstance(item.expr, Starred) for item in items):
        return _open_display(kind, items, span)
    value = display(kind, items, span)
    if value.is_static:
        constants.bounded(value.static, node)
    return replace(value, fresh=True) if kind == "list" else value


def display_items(frame: Frame, nodes: list[ast.expr]) -> tuple[Lowered, ...]:
    """Return the items of a display; a starred one of unknown length is one item."""
    items: list[Lowered] = []
    places: list[int] = []
    for element in nodes:
        if isinstance(element, ast.Starred):
            items += unpacked(frame, element)
        else:
            item = callable_or_value(frame, element)
            frame.share(item, frame.span(element))
            items.append(replace(item, fresh=False))
        places += [len(frame.region)] * (len(items) - len(places))
    for at in reversed(range(len(items))):
        items[at] = frame.keep_before(items[at], places[at])
    return tuple(items)


def unpacked(frame: Frame, node: ast.Starred) -> tuple[Lowered, ...]:
    """Return the items of ``*x``; where their number is not known, ``*x`` as one item."""
    span = frame.span(node)
    value = expression(frame, node.value)
    if value.poisoned:
        return (poison(span),)
    items = frame.items_of(value, span)
    if items is not None:
        return items
    if not checks.check_iterable(frame, node.value, value):
        return (poison(span),)
    star = made_of(Starred(value.expr, span), types.element(value.type), (value,), raises=True)
    return (star,)


def _open_display(kind: str, items: tuple[Lowered, ...], span: Span) -> Lowered:
    """Return a display with items whose number is known only in the run."""
    inner = types.union(tuple(item.type for item in items))
    expr = Display(kind, tuple([item.expr for item in items]), span)
    of_items = (inner, types.ELLIPSIS) if kind == "tuple" else (inner,)
    made = made_of(expr, named(kind, of_items), items)
    return replace(made, fresh=kind == "list")


def _set(frame: Frame, node: ast.Set) -> Lowered:
    span = frame.span(node)
    items = display_items(frame, node.elts)
    if any(item.poisoned for item in items):
        return poison(span)
    if all(item.is_static for item in items):
        return constant(
            constants.collection("set", [i.static for i in items], node, frame.budget), span
        )
    expr = Display("set", tuple([item.expr for item in items]), span)
    inner = types.union(tuple(item.type for item in items))
    return made_of(expr, named("set", (inner,)), items, raises=True)


def _dict(frame: Frame, node: ast.Dict) -> Lowered:
    span = frame.span(node)
    pairs: list[tuple[Lowered | None, Lowered]] = []
    places: list[tuple[int, int]] = []  # behind each key, and behind its value
    for key, value in zip(node.keys, node.values, strict=True):
        name = None if key is None else expression(frame, key)
        place = len(frame.region)
        item = callable_or_value(frame, value)
        frame.share(item, frame.span(value))
        known = known_pairs(item, span) if key is None else None
        if known is not None:
            pairs += known
        else:
            pairs.append((name, replace(item, fresh=False)))
        places += [(place, len(frame.region))] * (len(pairs) - len(places))
    for at in reversed(range(len(pairs))):
        name, item = pairs[at]
        item = frame.keep_before(item, places[at][1])
        pairs[at] = None if name is None else frame.keep_before(name, places[at][0]), item
    if any(each.poisoned for pair in pairs for each in pair if each is not None):
        return poison(span)
    closed = tuple((key, value) for key, value in pairs if key is not None)
    if len(closed) < len(pairs):
        return _open_dict(pairs, span)
    made = dict_display(closed, span)
    if made.is_static:
        constants.bounded(made.static, node)
    return replace(made, fresh=True)


def _open_dict(pairs: list[tuple[Lowered | None, Lowered]], span: Span) -> Lowered:
    """Return a dict display with a ``**`` whose keys are known only in the run."""
    expr = DictDisplay(tuple([(k.expr if k else None, v.expr) for k, v in pairs]), span)
    inner = [each for pair in pairs for each in pair if each is not None]
    return made_of(expr, named("dict"), inner, raises=True, fresh=True)


EXPRESSIONS.update({ast.List: _sequence, ast.Tuple: _sequence, ast.Set: _set, ast.Dict: _dict})
