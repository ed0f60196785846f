"""``try``: what went wrong, what then, and what in any case."""

from __future__ import annotations

import ast

from ..front import types
from ..program.ir import Catches, Const, Display, Error, Guard, Recover, Value
from ..slotted import dataclass, replace
from . import blocks, failures, flow
from .blocks import STATEMENTS, Ending
from .flow import FLAGS, RESULT
from .values import (
    BOOL,
    ERROR,
    Contents,
    Lowered,
    Scope,
    Unusable,
    display,
    made_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Node
    from .frame import Frame


#: Names that only the lowering itself has.
_OWN_NAMES: Final = (*FLAGS, RESULT)
_WAYS: Final = ("if the body succeeds", "if the body fails")


@dataclass(slots=True)
class Tried:
    """A body and its handlers once they are lowered, with the scopes at their ends."""

    guard: str
    span: Span
    before: Scope
    body: tuple[Node, ...]
    handler: tuple[Node, ...]
    after_body: Scope
    after_handler: Scope
    body_ends: Ending
    handler_ends: Ending

    def of_body(self, value: Lowered) -> Lowered:
        """Return a value of the body as it is after the guard; None where the body failed."""
        return self._entered(value, in_body=True)

    def of_handler(self, value: Lowered) -> Lowered:
        """Return a value of the handler as it is after the guard; None where it was not run."""
        return self._entered(value, in_body=False)

    def _entered(self, value: Lowered, *, in_body: bool) -> Lowered:
        if value.is_known or value.definition is not None:
            return value
        none = Const(None, self.span)
        body, handler = (value.expr, none) if in_body else (none, value.expr)
        parts = value.parts
        if parts is not None:
            parts = tuple(self._entered(part, in_body=in_body) for part in parts)
            if isinstance(value.expr, Display) and value.expr.kind == "tuple":
                return display("tuple", parts, self.span)
        expr = Recover(self.guard, body, handler, self.span)
        return replace(value, expr=expr, parts=parts, pairs=None, fields=None)

    def either(self, one: Lowered, other: Lowered) -> Lowered:
        """Return what stands for a value of the body, or for one of the handler."""
        expr = Recover(self.guard, one.expr, other.expr, self.span)
        return made_of(expr, types.union((one.type, other.type)), (one, other))


def _try(frame: Frame, node: ast.Try, _: list[ast.stmt]) -> blocks.Handled:
    """Lower a ``try``: with ``else`` and ``finally`` it is a guard within a guard."""
    span = frame.module.source.line_span(frame.span(node).line, frame.span(node).column)
    if node.finalbody:
        frame.finals += 1
        return _with_final(frame, node, span), False
    return _handled(frame, node, span), False


def _handled(frame: Frame, node: ast.Try, span: Span) -> Ending:
    """Lower ``try`` and ``except``, with ``else``, without ``finally``."""
    tried = _lower_regions(frame, node, frame.new_id("try"), span)
    if not _may_fail(tried.body):
        return _splice(frame, node, tried)
    frame.emit(Guard(tried.guard, tried.body, tried.handler, (), (), span))
    return _else(frame, node, tried) if node.orelse else _join(frame, tried)


def _may_fail(body: Sequence[Node]) -> bool:
    return any(not isinstance(node, Value) or node.raises for node in body)


def _splice(frame: Frame, node: ast.Try, tried: Tried) -> Ending:
    """Put a body that cannot fail where the ``try`` stands: its handlers are never run."""
    frame.release(tried.guard)
    for inner in tried.body:
        frame.emit(inner)
    frame.scope = tried.after_body
    if tried.body_ends is not Ending.FALLS:
        return tried.body_ends
    return blocks.block(frame, node.orelse)


def _lower_regions(frame: Frame, node: ast.Try, guard: str, span: Span) -> Tried:
    """Lower the body and the handlers."""
    before = frame.scope
    frame.scope = before.copy()
    frame.scope.when = {}
    with frame.inner_region() as body:
        body_ends = blocks.block(frame, node.body)
    after_body = frame.scope
    frame.scope = _interrupted(frame, before, after_body, span)
    frame.guards = (*frame.guards, guard)
    with frame.inner_region() as handler:
        handler_ends = _clauses(frame, node.handlers, guard, node)
    frame.guards = frame.guards[:-1]
    scopes = before, tuple(body), tuple(handler), after_body, frame.scope
    return Tried(guard, span, *scopes, body_ends, handler_ends)


def _join(frame: Frame, tried: Tried) -> Ending:
    """Set the scope after a guard, and return how control leaves it."""
    body_ends, handler_ends = tried.body_ends, tried.handler_ends
    if handler_ends is Ending.RAISES:
        frame.scope = flow.entered(frame, tried.after_body, tried.before, tried.of_body)
        return body_ends
    if body_ends is Ending.RAISES:
        frame.scope = flow.entered(frame, tried.after_handler, tried.before, tried.of_handler)
        return handler_ends

    def choose(one: Lowered, other: Lowered, name: str) -> Lowered:
        return frame.keep(tried.either(one, other), name)

    merge = frame.merge(choose, tried.span, _WAYS)
    frame.scope = merge.scopes(tried.after_body, tried.after_handler)
    return body_ends if body_ends is handler_ends else Ending.MAYBE


def _else(frame: Frame, node: ast.Try, tried: Tried) -> Ending:
    """Lower ``else``: a branch on whether the body went through."""
    span = tried.span
    yes, no = Const(value=True, span=span), Const(value=False, span=span)
    went_through = Recover(tried.guard, yes, no, span)
    frame.scope = flow.entered(frame, tried.after_body, tried.before, tried.of_body)
    if tried.handler_ends is Ending.RAISES:
        return blocks.unless_left(frame, lambda: blocks.block(frame, node.orelse), span)
    branch = frame.new_id("if")
    with frame.inner_region() as nodes:
        ending = blocks.unless_left(frame, lambda: blocks.block(frame, node.orelse), span)
    after_else = frame.scope
    frame.scope = tried.before
    handled = flow.entered(frame, tried.after_handler, tried.before, tried.of_handler)
    test = Lowered(went_through, BOOL)
    choose = blocks.decided(frame, branch, test, (nodes, []), span)
    frame.scope = frame.merge(choose, span, _WAYS).scopes(after_else, handled)
    return ending if ending is tried.handler_ends else Ending.MAYBE


# ---------------------------------------------------------------------------- handlers


def _clauses(
    frame: Frame, handlers: Sequence[ast.ExceptHandler], guard: str, node: ast.Try
) -> Ending:
    """Lower the clauses from the first on; what none of them handles is raised again."""
    if not handlers:
        failures.fail(frame, None, (), guard, node)
        return Ending.RAISES
    first, *others = handlers
    names = _classes(frame, first)
    if names is None:
        for other in others:
            blocks.refuse_dead(frame, other.body)
        return _clause(frame, first, guard)
    span = frame.span(first.type or first)
    test = Lowered(Catches(guard, names, span), BOOL)
    return blocks.decide(
        frame,
        test,
        lambda: _clause(frame, first, guard),
        lambda: _clauses(frame, others, guard, node),
        span,
    )


def _classes(frame: Frame, handler: ast.ExceptHandler) -> tuple[str, ...] | None:
    """Return the qualified names of the classes of a clause; None if it handles all exceptions."""
    if handler.type is None:
        return None
    nodes = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names: list[str] = []
    for node in nodes:
        found = failures.class_of(frame, node)
        if found is None or found.catches_all:
            return None
        names.append(found.names[0])
    return tuple(dict.fromkeys(names))


def _clause(frame: Frame, handler: ast.ExceptHandler, guard: str) -> Ending:
    if handler.name:
        error = Lowered(Error(guard, frame.span(handler)), ERROR)
        frame.scope.names[handler.name] = error
    ending = blocks.block(frame, handler.body)
    if handler.name:
        frame.scope.names.pop(handler.name, None)
    return ending


def _interrupted(frame: Frame, before: Scope, after: Scope, span: Span) -> Scope:
    """Return the scope where ``after`` may not have been reached.

    A name that first changed with nothing after it that could have failed still has its earlier
    value; any other may have either. No jump was taken: behind one nothing fails.
    """
    now = frame.building.emitted
    scope = before.copy()
    for name, binding in after.names.items():
        if before.names.get(name) is binding or name in _OWN_NAMES:
            continue
        if isinstance(binding, Lowered) and binding.poisoned:
            scope.names[name] = binding
        elif after.when.get(name, 0) < now:
            scope.names[name] = _uncertain(name, span)
    for cell, held in after.cells.items():
        earlier = before.cells.get(cell)
        if earlier is not None and earlier is not held:
            certain = after.when.get(cell, 0) == now
            scope.cells[cell] = _interrupted_contents(earlier, held, span, certain=certain)
    return scope


def _interrupted_contents(
    earlier: Contents, held: Contents, span: Span, *, certain: bool
) -> Contents:
    if held.frames == earlier.frames or certain:
        return replace(earlier, shared=held.shared)
    return replace(earlier, broken=_uncertain("this list", span))


def _uncertain(name: str, span: Span) -> Unusable:
    what = f"`{name}`" if name != "this list" else name
    return Unusable(
        "maybe-unassigned",
        f"{what} may or may not have the value from the `try` body here",
        "assign it before the `try`, or assign it anew here",
        span,
        "the body may fail before or after the assignment",
    )


# ---------------------------------------------------------------------------- finally


def _with_final(frame: Frame, node: ast.Try, span: Span) -> Ending:
    """Lower a ``try`` with a ``finally``: its region, and the scope after it."""
    identity = frame.new_id("try")
    before = frame.scope.copy()
    handler: tuple[Node, ...] | None = None
    values: list[Node] = []
    earlier: dict[str | int, int] = {}
    if node.handlers and not node.orelse:
        tried = _lower_regions(frame, node, identity, span)
        body = tried.body
        if _may_fail(body):
            with frame.inner_region() as values:
                ending = _join(frame, tried)
            handler = tried.handler
        else:  # the handlers are never run
            frame.scope, ending = tried.after_body, tried.body_ends
    else:
        earlier, frame.scope.when = frame.scope.when, {}
        with frame.inner_region() as nodes:
            if node.handlers:
                ending = _handled(frame, node, span)
            else:
                ending = blocks.block(frame, node.body)
        body = tuple(nodes)
    after = frame.scope
    frame.finals -= 1
    frame.building.emitted += 1  # anything of the guard may have failed before this place
    start, final, final_ends = _final(frame, node, identity, before, after, span)
    after.when = {**after.when, **earlier}
    _emit_guard(frame, Guard(identity, body, handler, final, (), span))
    for value in values:
        frame.emit(value)
    frame.scope = _overlaid(after, start, frame.scope)
    return Ending.RAISES if final_ends is Ending.RAISES else ending


def _emit_guard(frame: Frame, guard: Guard) -> None:
    """Emit a guard; without anything to guard its body's nodes are those of the region around."""
    if guard.handler is None and not (
        _may_fail(guard.final) and any(map(blocks.is_task, guard.body))
    ):
        frame.release(guard.id)
        for node in (*guard.body, *guard.final):
            frame.emit(node)
    else:
        frame.emit(guard)


def _final(
    frame: Frame, node: ast.Try, guard: str, before: Scope, after: Scope, span: Span
) -> tuple[Scope, tuple[Node, ...], Ending]:
    """Lower the ``finally``: the scope at its start, its region, and how it ends."""
    frame.scope = _interrupted(frame, before, after, span)
    # What a list holds cannot be told here, yet what is appended here comes after the body's.
    for cell, held in frame.scope.cells.items():
        if held.broken is not None:
            frame.scope.cells[cell] = replace(after.cells[cell], broken=held.broken)
    outer = frame.in_final, frame.loops_around_final
    frame.in_final, frame.loops_around_final = True, len(frame.loops)
    with frame.inner_region() as final:
        if not node.handlers:
            _choose_by_end(frame, guard, before, after, span)
        start = frame.scope.copy()
        ending = blocks.block(frame, node.finalbody)
    frame.in_final, frame.loops_around_final = outer
    return start, tuple(final), ending


def _choose_by_end(frame: Frame, guard: str, before: Scope, after: Scope, span: Span) -> None:
    """Give a name that was assigned last in the body the value that the body ended with."""
    last = frame.building.emitted - 1
    for name, binding in after.names.items():
        earlier = before.names.get(name)
        if earlier is binding or name in _OWN_NAMES or after.when.get(name, 0) != last:
            continue
        if isinstance(binding, Lowered) and isinstance(earlier, Lowered) and not binding.poisoned:
            expr = Recover(guard, binding.expr, earlier.expr, span)
            kind = types.union((binding.type, earlier.type))
            value = made_of(expr, kind, (binding, earlier))
            frame.scope.names[name] = frame.keep(value, name)


def _overlaid(after: Scope, start: Scope, final: Scope) -> Scope:
    """Return the scope after the body, with what the ``finally`` has changed."""
    scope = after.copy()
    for name, binding in final.names.items():
        if start.names.get(name) is not binding:
            scope.names[name] = binding
            scope.when.setdefault(name, final.when.get(name, 0))
    for cell, held in final.cells.items():
        began = start.cells.get(cell)
        if began is None:
            scope.cells[cell] = held
        elif began is not held:
            known_after = held.broken is began.broken
            broken = after.cells[cell].broken if known_after else held.broken
            scope.cells[cell] = replace(held, broken=broken)
    return scope


STATEMENTS[ast.Try] = _try
