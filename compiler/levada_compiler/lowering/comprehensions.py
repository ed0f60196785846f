"""Comprehensions: unrolled where the items are known, else a fan-out, or only computed."""

from __future__ import annotations

import ast

from ..front import types
from ..program import ir
from ..slotted import replace
from . import blocks, flow, targets
from .checks import SCALARS
from .loops import (
    Iterations,
    as_target,
    check_items,
    declare_items,
    declare_target,
    fan_in,
    limited,
)
from .lowering import EXPRESSIONS, callable_or_value, expression
from .values import Lowered, constant, display, joined, made_of, named, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from .frame import Frame
    from .values import Binding

    Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def _comprehension(frame: Frame, node: Comprehension) -> Lowered:
    """Lower a comprehension. Its names are its own, but for those of ``:=``."""
    span = frame.span(node)
    names = [name for part in node.generators for name in targets.stored_names(part.target)]
    hidden = {name: frame.scope.names.get(name) for name in names}
    try:
        parts = _generate(frame, node, 0)
    finally:
        _restore(frame, hidden)
    if any(part.poisoned for part in parts):
        return poison(span)
    items = replace(joined(tuple(parts), span), fresh=isinstance(node, ast.ListComp))
    if isinstance(node, ast.DictComp):
        return replace(flow.dict_of(items, span), fresh=True)
    if isinstance(node, ast.SetComp):
        if items.is_static:
            return constant(set(items.static), span)  # type: ignore[call-overload]
        member = types.element(items.type)
        expr = items.expr
        if isinstance(expr, ir.Comprehension):
            expr = replace(expr, kind="set")
        else:
            expr = ir.Apply("set", ((None, expr),), span)
        raises = member.name not in SCALARS
        return made_of(expr, named("set", (member,)), (items,), raises=raises)
    return items


def _restore(frame: Frame, hidden: dict[str, Binding | None]) -> None:
    for name, binding in hidden.items():
        if binding is None:
            frame.scope.names.pop(name, None)
        else:
            frame.scope.names[name] = binding


def _generate(frame: Frame, node: Comprehension, level: int) -> list[Lowered]:
    """Return the lists that, joined, are what the generators from ``level`` on give."""
    if level == len(node.generators):
        return [display("list", (_element(frame, node),), frame.span(node))]
    part = node.generators[level]
    if part.is_async:
        frame.reports.error(
            "unsupported-expression",
            frame.span(node),
            "`async for` cannot be used in a pipeline",
            help="use `for`: a loop over a step's output fans out by itself",
        )
        return _skipped(frame, node, level)
    iterable, limit = limited(frame, part.iter)
    items = callable_or_value(frame, iterable)
    if items.poisoned or not check_items(frame, iterable, items):
        return _skipped(frame, node, level)
    known = frame.items_of(items, frame.span(iterable)) if limit is None else None
    if known is None:
        return [_mapped(frame, node, level, items, limit)]
    lists: list[Lowered] = []
    for item in known:
        frame.spend(frame.span(part.iter))
        targets.assign(frame, part.target, item)
        lists.extend(_filtered(frame, node, level, 0))
    return lists


def _element(frame: Frame, node: Comprehension) -> Lowered:
    if isinstance(node, ast.DictComp):
        key = expression(frame, node.key)
        value = expression(frame, node.value)
        frame.share(value, frame.span(node.value))
        value = replace(value, fresh=False, cell=None)
        return display("tuple", (key, value), frame.span(node))
    item = callable_or_value(frame, node.elt)
    frame.share(item, frame.span(node.elt))
    return replace(item, fresh=False, cell=None)


def _skipped(frame: Frame, node: Comprehension, level: int) -> list[Lowered]:
    """Go through a comprehension that has been reported, for what else is wrong in it."""
    span = frame.span(node)
    with frame.inner_region():
        for part in node.generators[level:]:
            for name in targets.stored_names(part.target):
                frame.bind(name, poison(span))
            for condition in part.ifs:
                expression(frame, condition)
        _element(frame, node)
    return [poison(span)]


def _filtered(
    frame: Frame, node: Comprehension, level: int, index: int, test: Lowered | None = None
) -> list[Lowered]:
    """Return what one item gives: nothing if a filter refuses it, now or in the run."""
    conditions = node.generators[level].ifs
    if index == len(conditions):
        return _generate(frame, node, level + 1)
    test = expression(frame, conditions[index]) if test is None else test
    if test.poisoned:
        return [test]
    if test.is_static:
        return _filtered(frame, node, level, index + 1) if test.static else []
    span = frame.span(conditions[index])
    branch = frame.new_id("if")
    with frame.inner_region() as nodes:
        lists = _filtered(frame, node, level, index + 1)
    choose = blocks.decided(frame, branch, test, (nodes, []), span)
    chosen = joined(tuple(lists), span)
    return [replace(choose(chosen, flow.empty(span), "items"), type=chosen.type)]


def _mapped(
    frame: Frame, node: Comprehension, level: int, items: Lowered, limit: int | None
) -> Lowered:
    """Return a fan-out with its fan-in; `limit` iterations may run at a time."""
    part = node.generators[level]
    span = frame.span(node)
    loop = frame.new_id(f"for_{targets.first_name(part.target)}")
    frame.depth += 1
    with frame.inner_region() as nodes:
        declare = declare_target if part.ifs else declare_items
        declared = declare(frame, part.target, loop, types.element(items.type))
        conditions, index, test = _plain_filters(frame, part)
        lists = _filtered(frame, node, level, index, test)
    frame.depth -= 1
    made = Iterations(loop, as_target(declared), items, conditions, tuple(nodes), span, limit)
    made.emit(frame)
    if any(item.poisoned for item in (*lists, *conditions)):
        return poison(span)
    return fan_in(frame, made, tuple(lists))


def _plain_filters(
    frame: Frame, part: ast.comprehension
) -> tuple[tuple[Lowered, ...], int, Lowered | None]:
    """Return the leading filters that call no step: they stay with the loop.

    Also how many these are, and the value of the first that does call one.
    """
    conditions: list[Lowered] = []
    for index, condition in enumerate(part.ifs):
        with frame.inner_region() as nodes:
            test = expression(frame, condition)
        if nodes:
            frame.region.extend(nodes)
            return tuple(conditions), index, test
        if not (test.is_static and test.static):
            conditions.append(test)
    return tuple(conditions), len(part.ifs), None


EXPRESSIONS.update(
    {
        ast.ListComp: _comprehension,
        ast.SetComp: _comprehension,
        ast.DictComp: _comprehension,
        ast.GeneratorExp: _comprehension,
    }
)
