"""Loops and comprehensions: unrolled where the items are known, else a fan-out."""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..front import types
from ..program.ir import Branch, Collect, Item, Loop, Subscript, Target, Type
from ..slotted import replace
from . import advice, evaluation, expressions, flow, statements
from .values import (
    ANY,
    Binding,
    Level,
    ListContent,
    ListRef,
    Scope,
    Unusable,
    Value,
    display,
    elements,
    joined,
    named,
    poison,
    selected,
    size_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr
    from .frame import Frame

#: How many iterations a loop over a constant may have.
MAX_ITERATIONS: Final = 10_000


def lower_for(frame: Frame, node: ast.For) -> None:
    """A ``for`` statement."""
    _refuse_else(frame, node)
    items = expressions.lower(frame, node.iter)
    if items.poisoned or not check_items(frame, node.iter, items):
        abandon(frame, node)
        return
    gone_over = _lists_gone_over(frame, node.iter)
    known = elements(items, frame.span(node.iter))
    if known is None:
        fan_out(frame, node, items)
    else:
        _unroll(frame, node, known)
    _refuse_growing(frame, node, gone_over)


def _unroll(frame: Frame, node: ast.For, known: tuple[Value, ...]) -> None:
    for item in known:
        frame.spend(frame.span(node.iter))
        assign(frame, node.target, item)
        statements.block(frame, node.body)


def _lists_gone_over(frame: Frame, node: ast.expr) -> dict[int, ListContent]:
    """The lists that a loop goes over, directly or by `enumerate` and `zip`, as they are now."""
    found: dict[int, ListContent] = {}
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Name):
            stack.extend(item.args if item.func.id in ("enumerate", "zip") else ())
        binding = frame.scope.names.get(item.id) if isinstance(item, ast.Name) else None
        if isinstance(binding, ListRef):
            found[binding.cell] = frame.scope.lists[binding.cell]
    return found


def _refuse_growing(frame: Frame, node: ast.For, gone_over: dict[int, ListContent]) -> None:
    for cell, before in gone_over.items():
        if frame.scope.lists[cell].frames != before.frames:
            frame.reports.error(
                "shared-list",
                frame.span(node.iter),
                "this list is appended to while the loop goes over it",
                help="append to another list, and join the two after the loop",
            )


def _refuse_else(frame: Frame, node: ast.For) -> None:
    if node.orelse:
        frame.reports.error(
            "unsupported-statement",
            frame.span(node.orelse[0]),
            "`else` of a loop cannot be used in a pipeline",
            help="without `break` it always runs: write it after the loop",
        )


def check_items(frame: Frame, node: ast.expr, items: Value) -> bool:
    """Whether a loop may go over ``items``."""
    if isinstance(items.static, set | frozenset) or items.type.name in ("set", "frozenset"):
        frame.reports.error(
            "set-order",
            frame.span(node),
            "a set has no order, so a loop over it would not be the same twice",
            help="loop over a list or a tuple",
        )
        return False
    known = elements(items, frame.span(node)) if not isinstance(items.static, range) else ()
    count = len(items.static) if isinstance(items.static, range) else len(known or ())
    if count > MAX_ITERATIONS:
        frame.reports.error(
            "pipeline-too-large",
            frame.span(node),
            f"this loop has {count:,} constant iterations; at most {MAX_ITERATIONS:,} are unrolled",
            help="make the items a parameter, so that the loop fans out when it runs",
        )
        return False
    return advice.check_iterable(frame, node, items)


def abandon(frame: Frame, node: ast.For) -> None:
    """Go through the body of a loop that has been reported, for what else is wrong in it."""
    for name in _stored_names(node.target):
        frame.bind(name, poison(frame.span(node.target)))
    with frame.inner_region():
        statements.block(frame, node.body)
    for statement in node.body:
        for name in assigned_names(statement):
            frame.bind(name, poison(frame.span(node)))


def _stored_names(target: ast.expr) -> list[str]:
    return [item.id for item in ast.walk(target) if isinstance(item, ast.Name)]


def assigned_names(statement: ast.stmt, lists: frozenset[str] = frozenset()) -> list[str]:
    """Names that a statement binds, comprehensions aside (their names are their own).

    ``lists`` are names of lists: ``+=`` only appends to those.
    """
    found: list[str] = []
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(
            node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda
        ):
            continue
        if isinstance(node, ast.AugAssign) and _appends(node, lists):
            stack.append(node.value)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        stack.extend(ast.iter_child_nodes(node))
    return list(dict.fromkeys(reversed(found)))


def _appends(node: ast.AugAssign, lists: frozenset[str]) -> bool:
    target = node.target
    return isinstance(node.op, ast.Add) and isinstance(target, ast.Name) and target.id in lists


# ---------------------------------------------------------------------------- assignment


def assign(frame: Frame, target: ast.expr, value: Value) -> None:
    """Bind what a target names to a value, unpacking as needed."""
    if isinstance(target, ast.Name):
        evaluation.settle(frame, (value,), target.id, value.expr.span)
        frame.bind(target.id, value)
    elif isinstance(target, ast.Tuple | ast.List):
        _unpack(frame, target, value)
    elif isinstance(target, ast.Starred):
        refuse_target(frame, target, "a starred target", "name the items one by one")
    else:
        what = "an attribute" if isinstance(target, ast.Attribute) else "an item"
        refuse_target(frame, target, what, "assign to a name; change values in a step")


def refuse_target(frame: Frame, target: ast.expr, what: str, way_out: str) -> None:
    """Report a target that is not a name, and poison the names in it."""
    frame.reports.error(
        "unsupported-statement",
        frame.span(target),
        f"{what} cannot be assigned to in a pipeline",
        help=way_out,
    )
    for name in _stored_names(target):
        if isinstance(target, ast.Starred):
            frame.bind(name, poison(frame.span(target)))


def _unpack(frame: Frame, target: ast.Tuple | ast.List, value: Value) -> None:
    count = len(target.elts)
    if any(isinstance(element, ast.Starred) for element in target.elts):
        refuse_target(frame, target, "a target with `*`", "name the items one by one")
        items: tuple[Value, ...] | None = None
    else:
        items = None if value.poisoned else item_values(frame, target, value, count)
        evaluation.settle(frame, items or (), _first_name(target), frame.span(target))
    for index, element in enumerate(target.elts):
        plain = element.value if isinstance(element, ast.Starred) else element
        assign(frame, plain, poison(frame.span(element)) if items is None else items[index])


def item_values(
    frame: Frame, target: ast.Tuple | ast.List, value: Value, count: int
) -> tuple[Value, ...] | None:
    """The ``count`` items of a value; None after a diagnostic."""
    span = frame.span(target)
    items = elements(value, span)
    if items is None:
        items = _run_time_items(frame, target, value, count)
    if items is not None and len(items) != count:
        frame.reports.error(
            "unpack-mismatch",
            span,
            f"{count} names for {len(items)} values",
            labels=(Label(value.expr.span, f"this gives {len(items)} values"),),
            help=f"name all {len(items)}: `_` is a fine name for what is not needed",
        )
        return None
    return items


def _run_time_items(
    frame: Frame, target: ast.expr, value: Value, count: int
) -> tuple[Value, ...] | None:
    fields = frame.building.declarations.fields(value.type)
    span = frame.span(target)
    if fields is not None and fields.kind in ("tuple", "namedtuple"):
        names = value.labels or tuple(fields.types)
        pairs = zip(names, fields.types.values(), strict=True)
        return tuple(item_value(value, name, kind, span) for name, kind in pairs)
    if fields is not None or not _may_be_sequence(value.type):
        frame.reports.error(
            "unpack-mismatch",
            span,
            f"a value of type `{types.text(value.type)}` cannot be unpacked",
            labels=(Label(value.expr.span, "this is what would be unpacked"),),
            help="return a tuple or a NamedTuple, or use its named outputs",
        )
        return None
    kind = types.element(value.type)
    # How many there are is only known in the run, which has to fail as Python does.
    return tuple(item_value(value, f"{index}of{count}", kind, span) for index in range(count))


def _may_be_sequence(kind: Type) -> bool:
    return kind.name not in ("int", "float", "bool", "None", "complex", "NoneType")


def item_value(value: Value, name: str, kind: Type, span: Span) -> Value:
    """One item of a tuple that is known only in the run."""
    from ..program.ir import Attribute, Const

    if value.level is Level.PARAMETER and name.isdigit():
        expr: Expr = Subscript(value.expr, Const(int(name), span), span)
    else:
        expr = Attribute(value.expr, name, span)
    return Value(expr, kind, value.level, size=size_of((value,)))


# ---------------------------------------------------------------------------- run-time loops


def _first_name(target: ast.expr) -> str:
    names = [name.strip("_") for name in _stored_names(target)]
    return next(filter(None, names), "each")


def _loop_name(target: ast.expr) -> str:
    return f"for_{_first_name(target)}"


def declare_target(
    frame: Frame, target: ast.expr, loop: str, kind: Type, level: Level
) -> str | Target:
    """Loop variables for what a loop binds, and their names in scope."""
    if isinstance(target, ast.Tuple | ast.List):
        kinds = _target_types(kind, len(target.elts), frame, target)
        names = tuple(
            declare_target(frame, element, loop, item, level)
            for element, item in zip(target.elts, kinds, strict=True)
        )
        return Target(names, is_tuple=True)
    span = frame.span(target)
    if not isinstance(target, ast.Name):
        assign(frame, target, poison(span))
        return frame.new_variable("item")
    variable = frame.new_variable(target.id)
    frame.bind(target.id, Value(Item(loop, variable, span), kind, level))
    return variable


def _target_types(kind: Type, count: int, frame: Frame, target: ast.expr) -> tuple[Type, ...]:
    fields = frame.building.declarations.fields(kind)
    if fields is None and not _may_be_sequence(kind):
        frame.reports.error(
            "unpack-mismatch",
            frame.span(target),
            f"{count} names for items of type `{types.text(kind)}`, which cannot be unpacked",
            help="name the item by one name",
        )
    if fields is None or fields.kind not in ("tuple", "namedtuple"):
        return (types.element(kind),) * count
    if len(fields.types) != count:
        frame.reports.error(
            "unpack-mismatch",
            frame.span(target),
            f"{count} names for items of {len(fields.types)} values",
            help=f"name all {len(fields.types)}",
        )
        return (ANY,) * count
    return tuple(fields.types.values())


def _as_target(declared: str | Target) -> Target:
    return declared if isinstance(declared, Target) else Target((declared,), is_tuple=False)


def fan_out(frame: Frame, node: ast.For, items: Value) -> None:
    """A loop whose items are known only in the run."""
    span = header_span(frame, node)
    loop = frame.new_id(_loop_name(node.target))
    before = frame.scope
    frame.scope = carried(frame, node, before)
    frame.depth += 1
    with frame.inner_region() as nodes:
        declared = declare_target(frame, node.target, loop, types.element(items.type), items.level)
        statements.block(frame, node.body)
    frame.depth -= 1
    frame.emit(Loop(loop, _as_target(declared), items.expr, (), tuple(nodes), frame.barrier, span))
    frame.scope = after_loop(frame, node, before, loop)


def header_span(frame: Frame, node: ast.For) -> Span:
    """From `for` to the end of what it goes over."""
    whole, end = frame.span(node), frame.span(node.iter)
    return replace(whole, end_line=end.end_line, end_column=end.end_column)


def carried(frame: Frame, node: ast.For, before: Scope) -> Scope:
    """The scope at the start of an iteration: names that the loop assigns are not yet known."""
    scope = before.copy()
    lists = frozenset(name for name, held in before.names.items() if isinstance(held, ListRef))
    names = (name for item in node.body for name in assigned_names(item, lists))
    for name in dict.fromkeys(names):
        scope.names[name] = (
            Unusable(
                "loop-carried",
                f"`{name}` comes from the iteration before, but iterations run at the same time",
                f"collect into a list and combine after the loop, or loop inside a step; "
                f"a new name helps if `{name}` was not meant to be carried over",
                frame.span(node.target),
                "the items of this loop are known only in the run",
            )
            if name in before.names or name in frame.locals
            else scope.names[name]
        )
    return scope


def after_loop(frame: Frame, node: ast.For, before: Scope, loop: str) -> Scope:
    """The scope after a loop: lists are collected, names of the last iteration are not kept."""
    inside = frame.scope
    scope = before.copy()
    scope.when = dict(inside.when)
    for name, binding in inside.names.items():
        if before.names.get(name) is not binding:
            scope.names[name] = _last_iteration(frame, name, node)
    for cell in before.lists:
        scope.lists[cell] = collected(frame, inside.lists[cell], loop, node)
    return scope


def _last_iteration(frame: Frame, name: str, node: ast.For) -> Unusable:
    return Unusable(
        "after-loop",
        f"`{name}` has a value only inside the loop that assigns it",
        f"append it to a list in the loop and use that, or assign `{name}` after the loop",
        frame.span(node.target),
        "how often this loop runs is known only in the run",
    )


def collected(frame: Frame, held: ListContent, loop: str, node: ast.For) -> ListContent:
    """What a list holds after a loop: the frame of the loop's depth is folded into a fan-in."""
    depth = frame.depth + 1 - held.depth
    read_depth = min(held.read_depth, frame.depth)
    if len(held.frames) <= depth:
        return replace(held, read_depth=read_depth)
    appended = held.frames[depth]
    frames = held.frames[:depth]
    if appended:
        fan = fan_in(loop, appended, header_span(frame, node))
        frames = (*frames[:-1], (*frames[-1], fan))
    return replace(held, frames=frames, read_depth=read_depth)


def fan_in(loop: str, parts: tuple[Value, ...], span: Span) -> Value:
    """The list that the iterations of a loop have appended to, in order."""
    part = joined(parts, span)
    if part.parts is not None and len(part.parts) == 1:
        item = part.parts[0]
        return _gathered(loop, item, named("list", (item.type,)), span, flatten=False)
    return _gathered(loop, part, part.type, span, flatten=True)


def _gathered(loop: str, value: Value, kind: Type, span: Span, *, flatten: bool) -> Value:
    expr = Collect(loop, value.expr, flatten, span)
    return Value(expr, kind, Level.OUTPUT, size=size_of((value,)), poisoned=value.poisoned)


# ---------------------------------------------------------------------------- comprehensions


def comprehension(frame: Frame, node: ast.ListComp) -> Value:
    """A list comprehension. Its names are its own."""
    names = [name for part in node.generators for name in _stored_names(part.target)]
    hidden = {name: frame.scope.names.get(name) for name in names}
    try:
        parts = generate(frame, node, 0)
    finally:
        _restore(frame, hidden)
    if any(part.poisoned for part in parts):
        return poison(frame.span(node))
    return replace(joined(tuple(parts), frame.span(node)), fresh=True)


def _restore(frame: Frame, hidden: dict[str, Binding | None]) -> None:
    for name, binding in hidden.items():
        if binding is None:
            frame.scope.names.pop(name, None)
        else:
            frame.scope.names[name] = binding


def generate(frame: Frame, node: ast.ListComp, level: int) -> list[Value]:
    """The lists that, joined, are what the generators from ``level`` on give."""
    if level == len(node.generators):
        item = expressions.lower(frame, node.elt)
        frame.share(item, frame.span(node.elt))
        return [display("list", (item,), frame.span(node))]
    part = node.generators[level]
    if part.is_async:
        frame.reports.error(
            "unsupported-expression",
            frame.span(node),
            "`async for` cannot be used in a pipeline",
            help="use `for`: a loop over a step's output fans out by itself",
        )
        return skipped(frame, node, level)
    items = expressions.lower(frame, part.iter)
    if items.poisoned or not check_items(frame, part.iter, items):
        return skipped(frame, node, level)
    known = elements(items, frame.span(part.iter))
    if known is None:
        return [mapped(frame, node, level, items)]
    lists: list[Value] = []
    for item in known:
        frame.spend(frame.span(part.iter))
        assign(frame, part.target, item)
        lists.extend(filtered(frame, node, level, 0))
    return lists


def skipped(frame: Frame, node: ast.ListComp, level: int) -> list[Value]:
    """Go through a comprehension that has been reported, for what else is wrong in it."""
    span = frame.span(node)
    with frame.inner_region():
        for part in node.generators[level:]:
            for name in _stored_names(part.target):
                frame.bind(name, poison(span))
            for condition in part.ifs:
                expressions.lower(frame, condition)
        expressions.lower(frame, node.elt)
    return [poison(span)]


def filtered(frame: Frame, node: ast.ListComp, level: int, index: int) -> list[Value]:
    """What one item gives: nothing if a filter refuses it, decided now or in the run."""
    conditions = node.generators[level].ifs
    if index == len(conditions):
        return generate(frame, node, level + 1)
    test = expressions.lower(frame, conditions[index])
    if test.poisoned:
        return [test]
    if test.is_static:
        return filtered(frame, node, level, index + 1) if test.static else []
    span = frame.span(conditions[index])
    branch = frame.new_id("if")
    with frame.inner_region() as nodes:
        lists = filtered(frame, node, level, index + 1)
    frame.emit(Branch(branch, test.expr, tuple(nodes), (), frame.barrier, span))
    chosen = joined(tuple(lists), span)
    return [replace(selected(branch, test, chosen, flow.empty(span), span), type=chosen.type)]


def mapped(frame: Frame, node: ast.ListComp, level: int, items: Value) -> Value:
    """A fan-out with its fan-in."""
    part = node.generators[level]
    span = frame.span(node)
    loop = frame.new_id(_loop_name(part.target))
    frame.depth += 1
    with frame.inner_region() as nodes:
        kind = types.element(items.type)
        declared = declare_target(frame, part.target, loop, kind, items.level)
        conditions, index = plain_filters(frame, part)
        lists = filtered(frame, node, level, index)
    frame.depth -= 1
    frame.emit(
        Loop(
            loop,
            _as_target(declared),
            items.expr,
            tuple(condition.expr for condition in conditions),
            tuple(nodes),
            frame.barrier,
            span,
        )
    )
    if any(item.poisoned for item in (*lists, *conditions)):
        return poison(span)
    return fan_in(loop, tuple(lists), span)


def plain_filters(frame: Frame, part: ast.comprehension) -> tuple[list[Value], int]:
    """The leading filters that need no step: they stay with the loop. And how many these are."""
    conditions: list[Value] = []
    for index, condition in enumerate(part.ifs):
        if any(isinstance(item, ast.Call | ast.IfExp) for item in ast.walk(condition)):
            return conditions, index
        test = expressions.lower(frame, condition)
        if not (test.is_static and test.static):
            conditions.append(test)
    return conditions, len(part.ifs)
