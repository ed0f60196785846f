"""Loops: unrolled where the items are known, else a fan-out.

A loop of the run without a step in it computes only: it becomes a comprehension.
"""

from __future__ import annotations

import ast
from importlib import import_module

from levada.settings import POSITIVE

from ..front import modules as m
from ..front import types
from ..program.ir import (
    Apply,
    Clause,
    Collect,
    Comprehension,
    Const,
    Display,
    Item,
    Loop,
    Target,
    Type,
    Value,
)
from ..program.substitution import substituted
from ..slotted import dataclass, replace
from . import blocks, calls, checks, targets
from .blocks import STATEMENTS, Ending
from .flow import BROKEN, CONTINUED, FLAGS, RETURNED, forget_completed
from .lowering import callable_or_value
from .values import (
    ANY,
    MAX_ITERATIONS,
    Accumulated,
    Contents,
    Lowered,
    Scope,
    Unusable,
    joined,
    made_of,
    named,
    poison,
    range_length,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr, Node
    from .frame import Frame
    from .values import Binding


def _for(frame: Frame, node: ast.For, _: list[ast.stmt]) -> blocks.Handled:
    iterable, limit = limited(frame, node.iter)
    items = callable_or_value(frame, iterable)
    if items.poisoned or not check_items(frame, iterable, items):
        _abandon(frame, node)
        return None
    gone_over = _gone_over(frame, iterable)
    known = frame.items_of(items, frame.span(iterable)) if limit is None else None
    if known is not None:
        ending = _unroll(frame, node, known)
    else:
        computed = _computed(frame, node, items) if limit is None else None
        ending = _fan_out(frame, node, items, limit) if computed is None else computed
    _refuse_growing(frame, node, gone_over)
    return ending, False


def limited(frame: Frame, node: ast.expr) -> tuple[ast.expr, int | None]:
    """Return what a loop goes over, and how many iterations may run at a time.

    ``Loop(items, max_parallel=1)`` is a loop of the run, even where its items are known.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return node, None
    if calls.callee_of(frame, node.func) != m.External("levada.Loop"):
        return node, None
    if len(node.args) != 1 or [keyword.arg for keyword in node.keywords] != ["max_parallel"]:
        frame.reports.error(
            "invalid-setting",
            frame.span(node),
            "`Loop` takes the items and `max_parallel`",
            help="write `Loop(items, max_parallel=1)`",
        )
        return (node.args or [node])[0], 1
    given = node.keywords[0].value
    limit = callable_or_value(frame, given)
    try:
        if limit.is_static:
            return node.args[0], POSITIVE.read("`max_parallel`", limit.static)
        problem = "`max_parallel` must be known when the pipeline is compiled"
    except (TypeError, ValueError) as error:
        problem = str(error)
    if not limit.poisoned:
        hint = "write a whole number from 1 on"
        frame.reports.error("invalid-setting", frame.span(given), problem, help=hint)
    return node.args[0], 1


def check_items(frame: Frame, node: ast.expr, items: Lowered) -> bool:
    """Return whether a loop may go over ``items``, after a report where it may not."""
    if items.type.name in ("set", "frozenset"):
        frame.reports.warning(
            "set-order",
            frame.span(node),
            "a set has no order: the loop goes over it in sorted order",
            help="write `sorted(…)`, or loop over a list, to say which order is meant",
        )
    known = items.static
    count = range_length(known) if isinstance(known, range) else len(items.parts or ())
    if count > MAX_ITERATIONS:
        frame.reports.error(
            "pipeline-too-large",
            frame.span(node),
            f"this loop has {count:,} constant iterations; at most {MAX_ITERATIONS:,} are unrolled",
            help="make the items a parameter, so that the loop fans out when it runs",
        )
        return False
    return items.parts is not None or checks.check_iterable(frame, node, items)


def _abandon(frame: Frame, node: ast.For) -> None:
    """Go through the body of a loop that has been reported, for what else is wrong in it."""
    for name in targets.stored_names(node.target):
        frame.bind(name, poison(frame.span(node.target)))
    frame.loops = (*frame.loops, "unrolled")
    with frame.inner_region():
        blocks.block(frame, node.body)
    frame.loops = frame.loops[:-1]
    for flag in FLAGS:
        blocks.set_flag(frame, flag, frame.span(node), to=False)
    for statement in node.body:
        for name in blocks.assigned_names(statement):
            frame.bind(name, poison(frame.span(node)))


def _gone_over(frame: Frame, node: ast.expr) -> dict[int, Contents]:
    """Return what a loop goes over, directly or by `enumerate` and `zip`, as it is now."""
    found: dict[int, Contents] = {}
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Name):
            stack.extend(item.args if item.func.id in ("enumerate", "zip") else ())
        binding = frame.scope.names.get(item.id) if isinstance(item, ast.Name) else None
        if isinstance(binding, Accumulated):
            found[binding.cell] = frame.scope.cells[binding.cell]
    return found


def _refuse_growing(frame: Frame, node: ast.For, gone_over: dict[int, Contents]) -> None:
    for cell, before in gone_over.items():
        if frame.scope.cells[cell].frames != before.frames:
            frame.reports.error(
                "shared-list",
                frame.span(node.iter),
                "this is changed while the loop goes over it",
                help="fill another list or dict, and join the two after the loop",
            )


# ---------------------------------------------------------------------------- unrolled loops


def _unroll(frame: Frame, node: ast.For, known: Sequence[Lowered]) -> Ending:
    """Lower the body once for each item; return how the loop ends."""
    span = frame.span(node.iter)
    outer = {flag: frame.scope.names.get(flag) for flag in (BROKEN, CONTINUED)}
    for flag in outer:
        blocks.set_flag(frame, flag, span, to=False)
    frame.loops = (*frame.loops, "unrolled")
    ending = Ending.FALLS
    for item in known:
        frame.spend(span)
        ending = blocks.unless_left(frame, _iteration(frame, node, item), span)
        blocks.set_flag(frame, CONTINUED, span, to=False)
        forget_completed(frame.scope, span)
        if ending is Ending.RAISES or blocks.left(frame, span).static is True:
            break
    frame.loops = frame.loops[:-1]
    return ending if ending is Ending.RAISES else end(frame, node, outer)


def end(frame: Frame, node: ast.For, outer: dict[str, Binding | None]) -> Ending:
    """Lower the ``else`` of a loop, and go on with the flags of the loop around it."""
    span = frame.span(node.iter)
    was_left = blocks.left(frame, span)
    may_break = blocks.flag_of(frame, BROKEN).static is not False
    for flag in (BROKEN, CONTINUED):
        binding = outer[flag]
        if binding is None:
            frame.scope.names.pop(flag, None)
        else:
            frame.scope.names[flag] = binding
    frame.scope.has_left = False
    if not node.orelse or was_left.static is True:
        return _by_flags(frame)
    if was_left.is_static:
        return blocks.block(frame, node.orelse)
    return _else(frame, node, was_left, may_break=may_break)


def _else(frame: Frame, node: ast.For, was_left: Lowered, *, may_break: bool) -> Ending:
    """Lower the ``else`` of a loop that may have been left: its jumps are of the loop around."""
    span = frame.span(node.iter)

    def left() -> Ending:
        if not may_break:
            blocks.set_flag(frame, RETURNED, span)
        return _by_flags(frame)

    def went_through() -> Ending:
        blocks.set_flag(frame, RETURNED, span, to=False)
        return blocks.block(frame, node.orelse)

    return blocks.decide(frame, was_left, left, went_through, span)


def _by_flags(frame: Frame) -> Ending:
    """Return how control leaves a loop, by whether the function has returned in it."""
    returned = frame.scope.names.get(RETURNED)
    if not isinstance(returned, Lowered) or returned.static is False:
        return Ending.FALLS
    return Ending.LEAVES if returned.static is True else Ending.MAYBE


def _iteration(frame: Frame, node: ast.For, item: Lowered) -> Callable[[], Ending]:
    def lowered() -> Ending:
        targets.assign(frame, node.target, item)
        return blocks.block(frame, node.body)

    return lowered


def _break(frame: Frame, node: ast.Break, _: list[ast.stmt]) -> blocks.Handled:
    span = frame.span(node)
    if frame.loops[-1:] not in (("unrolled",), ("computed",)):
        frame.reports.error(
            "unsupported-statement",
            span,
            "`break` cannot end a loop whose items are known only in the run",
            help="iterations run at the same time: filter the items before the loop, "
            "or loop over a constant number of rounds",
        )
        return None
    _refuse_in_final(frame, "break", span)
    blocks.set_flag(frame, BROKEN, span)
    return Ending.LEAVES, False


def _refuse_in_final(frame: Frame, what: str, span: Span) -> None:
    """Report a jump out of a ``finally``: Python would drop the exception without a word."""
    if frame.in_final and len(frame.loops) <= frame.loops_around_final:
        frame.reports.error(
            "unsupported-statement",
            span,
            f"`{what}` in `finally` would hide a failure",
            help=f"`{what}` after the `try` statement",
        )


def _continue(frame: Frame, node: ast.Continue, _: list[ast.stmt]) -> blocks.Handled:
    _refuse_in_final(frame, "continue", frame.span(node))
    blocks.set_flag(frame, CONTINUED, frame.span(node))
    return Ending.LEAVES, False


# ---------------------------------------------------------------------------- run-time loops


@dataclass(slots=True)
class Iterations:
    """A loop of the run once its body is lowered; one without tasks only computes."""

    loop: str
    target: Target
    items: Lowered
    conditions: tuple[Lowered, ...]
    body: tuple[Node, ...]
    span: Span
    max_parallel: int | None = None

    @property
    def has_tasks(self) -> bool:
        """Whether there is anything to run."""
        return any(map(blocks.is_task, self.body))

    def gathered(self, frame: Frame, value: Lowered, *, flatten: bool) -> Lowered:
        """Return the list of a value over the iterations, in order."""
        kind = value.type if flatten else named("list", (value.type,))
        if self.has_tasks:
            expr: Expr = Collect(self.loop, value.expr, flatten, self.span)
            return replace(made_of(expr, kind, (value,)), poisoned=value.poisoned)
        return self._computed(frame, value, kind, flatten=flatten)

    def _computed(self, frame: Frame, value: Lowered, kind: Type, *, flatten: bool) -> Lowered:
        expr, inner = self.comprehension(frame, value.expr)
        if flatten:
            expr = Apply("flat", ((None, expr),), self.span)
        raises = inner or value.raises or any(test.raises for test in self.conditions)
        made = made_of(expr, kind, (self.items, *self.conditions, value), raises=raises)
        return replace(made, poisoned=value.poisoned)

    def comprehension(self, frame: Frame, element: Expr) -> tuple[Expr, bool]:
        """Return the loop as a comprehension, and whether a named value in it may raise.

        A named value of the body becomes a variable: ``for y in [x * 2]``.
        """
        conditions = tuple(test.expr for test in self.conditions)
        clauses = [Clause(self.target, self.items.expr, conditions)]
        values: dict[str, Expr] = {}
        for node in self.body:
            assert isinstance(node, Value)  # noqa: S101 - there are no tasks
            variable = frame.new_variable(node.id.rpartition(".")[2])
            value = node.value
            for test, is_then in frame.building.sides.get(node.id, ()):
                value = blocks.on_side(value, test, is_then=is_then)
            items = Display("list", (substituted(value, values),), node.span)
            clauses.append(Clause(Target((variable,), is_tuple=False), items, ()))
            values[node.id] = Item(self.loop, variable, node.span)
        inner = substituted(element, values)
        raises = any(isinstance(node, Value) and node.raises for node in self.body)
        return Comprehension(self.loop, "list", inner, tuple(clauses), self.span), raises

    def emit(self, frame: Frame) -> None:
        """Add the loop to the region, if there is anything to run in it."""
        if self.has_tasks:
            conditions = tuple([test.expr for test in self.conditions])
            made = Loop(
                self.loop, self.target, self.items.expr, conditions, self.body, (), self.span
            )
            renamed = frame.building.names.renamed
            named = [(each, renamed[each]) for each in self.target.variables() if each in renamed]
            frame.emit(replace(made, max_parallel=self.max_parallel, named=tuple(named)))

    def check(self, frame: Frame) -> None:
        """Let the values of a loop that only computes be evaluated for their failure."""
        raising = any(isinstance(node, Value) and node.raises for node in self.body)
        if not self.has_tasks and (raising or self.items.raises):
            nothing = Lowered(Const(None, self.span), ANY)
            frame.keep(self.gathered(frame, nothing, flatten=False), "check")


def _computed(frame: Frame, node: ast.For, items: Lowered) -> Ending | None:
    """Lower a loop that only computes and carries values; None for any other."""
    folds = import_module(f"{__package__}.folds")  # it imports this module
    ending: Ending | None = folds.lower(frame, node, items)
    return ending


def _fan_out(frame: Frame, node: ast.For, items: Lowered, limit: int | None) -> Ending:
    """Lower a loop of the run, of which `limit` iterations may run at a time."""
    loop = frame.new_id(f"for_{targets.first_name(node.target)}")
    before = frame.scope
    frame.scope = _carried(frame, node, before)
    frame.depth += 1
    frame.loops = (*frame.loops, "fan-out")
    with frame.inner_region() as nodes:
        declared = declare_items(frame, node.target, loop, types.element(items.type))
        blocks.set_flag(frame, CONTINUED, frame.span(node), to=False)
        blocks.block(frame, node.body)
    frame.loops = frame.loops[:-1]
    frame.depth -= 1
    span = header_span(frame, node)
    made = Iterations(loop, as_target(declared), items, (), tuple(nodes), span, limit)
    made.emit(frame)
    frame.scope = _after_loop(frame, node, before, made)
    return blocks.block(frame, node.orelse)  # there is no `break` that would skip it


def header_span(frame: Frame, node: ast.For) -> Span:
    """Return the range from `for` to the end of what it goes over."""
    whole, end = frame.span(node), frame.span(node.iter)
    return replace(whole, end_line=end.end_line, end_column=end.end_column)


def declare_items(frame: Frame, target: ast.expr, loop: str, kind: Type) -> str | Target:
    """Return the same as :func:`declare_target`; what has a star is taken apart in the body."""
    if not any(isinstance(each, ast.Starred) for each in ast.walk(target)):
        return declare_target(frame, target, loop, kind)
    variable = frame.new_variable("item")
    targets.assign(frame, target, Lowered(Item(loop, variable, frame.span(target)), kind))
    return variable


def declare_target(frame: Frame, target: ast.expr, loop: str, kind: Type) -> str | Target:
    """Return loop variables for what a loop binds, and put their names in scope."""
    if isinstance(target, ast.Tuple | ast.List):
        kinds = _target_types(kind, len(target.elts), frame, target)
        names = tuple(
            declare_target(frame, element, loop, item)
            for element, item in zip(target.elts, kinds, strict=True)
        )
        return Target(names, is_tuple=True)
    span = frame.span(target)
    if not isinstance(target, ast.Name):
        targets.assign(frame, target, poison(span))
        return frame.new_variable("item")
    variable = frame.new_variable(target.id)
    frame.bind(target.id, Lowered(Item(loop, variable, span), kind))
    return variable


def _target_types(kind: Type, count: int, frame: Frame, target: ast.expr) -> tuple[Type, ...]:
    fields = frame.building.declarations.fields(kind)
    if fields is None and not targets.may_be_sequence(kind):
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


def as_target(declared: str | Target) -> Target:
    """Return what a loop binds as a target."""
    return declared if isinstance(declared, Target) else Target((declared,), is_tuple=False)


def _carried(frame: Frame, node: ast.For, before: Scope) -> Scope:
    """Return the scope at the start of an iteration: what the loop assigns is not yet known."""
    scope = before.copy()
    filled = frozenset(n for n, held in before.names.items() if isinstance(held, Accumulated))
    names = (name for item in node.body for name in blocks.assigned_names(item, filled))
    for name in dict.fromkeys(names):
        if name in before.names or name in frame.locals:
            scope.names[name] = _carried_over(frame, name, node)
    return scope


def _carried_over(frame: Frame, name: str, node: ast.For) -> Unusable:
    return Unusable(
        "loop-carried",
        f"`{name}` comes from the iteration before, but iterations run at the same time",
        f"collect what the steps give into a list, and combine that after the loop: a loop that "
        f"runs no step and raises nothing may carry values; a new name helps if `{name}` was not "
        f"meant to be carried",
        frame.span(node.target),
        "the items of this loop are known only in the run",
    )


def _after_loop(frame: Frame, node: ast.For, before: Scope, made: Iterations) -> Scope:
    """Return the scope after a loop: lists are collected, other names are not kept."""
    inside = frame.scope
    scope = before.copy()
    frame.scope = scope
    scope.when = dict(inside.when)
    for name, binding in inside.names.items():
        if before.names.get(name) is not binding and not name.startswith("$"):
            scope.names[name] = last_iteration(frame, name, node)
    collects = False
    for cell in before.cells:
        scope.cells[cell] = _collected(frame, inside.cells[cell], made)
        collects = collects or scope.cells[cell].frames != before.cells[cell].frames
    if not collects:
        made.check(frame)
    return scope


def last_iteration(frame: Frame, name: str, node: ast.For) -> Unusable:
    """Return what a name stands for after a loop of the run that has assigned it."""
    return Unusable(
        "after-loop",
        f"`{name}` has a value only inside the loop that assigns it",
        f"append it to a list in the loop and use that, or assign `{name}` after the loop",
        frame.span(node.target),
        "how often this loop runs is known only in the run",
    )


def _collected(frame: Frame, held: Contents, made: Iterations) -> Contents:
    """Return an accumulator after a loop: the frame of the loop's depth is a fan-in now."""
    depth = frame.depth + 1 - held.depth
    read_depth = min(held.read_depth, frame.depth)
    if len(held.frames) <= depth:
        return replace(held, read_depth=read_depth)
    appended = held.frames[depth]
    frames = held.frames[:depth]
    if appended:
        part = fan_in(frame, made, appended)
        if not made.has_tasks and part.raises:
            part = frame.keep(part, "items")  # it fails here, whoever uses it
        frames = (*frames[:-1], (*frames[-1], part))
    return replace(held, frames=frames, read_depth=read_depth)


def fan_in(frame: Frame, made: Iterations, parts: tuple[Lowered, ...]) -> Lowered:
    """Return the list that the iterations of a loop have appended to, in order."""
    part = joined(parts, made.span)
    if part.parts is not None and len(part.parts) == 1:
        return made.gathered(frame, part.parts[0], flatten=False)
    return made.gathered(frame, part, flatten=True)


STATEMENTS.update({ast.For: _for, ast.Break: _break, ast.Continue: _continue})
