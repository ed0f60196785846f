"""``try``: what went wrong, what then, and what in any case."""

from __future__ import annotations

import ast

from ..front import modules as m
from ..front import types
from ..program.ir import Branch, Const, Guard, Recover
from ..slotted import replace
from . import flow, statements
from .values import Level, ListContent, Scope, Unusable, Value, named, selected, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.diagnostic import Span
    from ..program.ir import Node
    from .frame import Frame


def lower_try(frame: Frame, node: ast.Try) -> None:
    """A ``try`` statement: with ``else`` and ``finally`` it is a guard within a guard."""
    check_handlers(frame, node)
    span = frame.module.source.line_span(frame.span(node).line, frame.span(node).column)
    if not node.finalbody:
        lower_handled(frame, node, span)
        return
    before = frame.scope.copy()
    identity = frame.new_id("try")
    if node.handlers and node.orelse:
        with frame.inner_region() as body:
            lower_handled(frame, node, span)
        handler: tuple[Node, ...] | None = None
    else:
        body, handler = guarded_regions(frame, node, identity, span)
    finish(frame, node, identity, before, (tuple(body), handler), span)


def guarded_regions(
    frame: Frame, node: ast.Try, identity: str, span: Span
) -> tuple[list[Node], tuple[Node, ...] | None]:
    """The regions of the body (with ``else``, which without a handler just follows) and handler."""
    before = frame.scope
    frame.scope = before.copy()
    if node.handlers:
        frame.scope.when = {}
    with frame.inner_region() as body:
        statements.block(frame, node.body)
        statements.block(frame, node.orelse)
    if not node.handlers:
        return body, None
    after_body = frame.scope
    handler = lower_handler(frame, node, before, after_body, span)
    frame.scope = recovered(frame, identity, after_body, frame.scope, span)
    return body, handler


def lower_handled(frame: Frame, node: ast.Try, span: Span) -> None:
    """``try`` and ``except``, with ``else``, without ``finally``."""
    if not node.handlers:
        statements.block(frame, node.body)
        return
    identity = frame.new_id("try")
    before = frame.scope
    frame.scope = before.copy()
    frame.scope.when = {}
    with frame.inner_region() as body:
        statements.block(frame, node.body)
    after_body = frame.scope
    handler = lower_handler(frame, node, before, after_body, span)
    after_handler = frame.scope
    frame.emit(Guard(identity, tuple(body), handler, (), frame.barrier, span))
    if not node.orelse:
        frame.scope = recovered(frame, identity, after_body, after_handler, span)
        return
    lower_else(frame, node, identity, before, (after_body, after_handler), span)


def lower_else(
    frame: Frame,
    node: ast.Try,
    guard: str,
    before: Scope,
    after: tuple[Scope, Scope],
    span: Span,
) -> None:
    """``else``: a branch on whether the body went through."""
    after_body, after_handler = after
    nothing = Const(None, span)

    def from_body(value: Value) -> Value:
        if value.poisoned or value.is_static:
            return value
        return replace(value, expr=Recover(guard, value.expr, nothing, span), level=Level.OUTPUT)

    went_through = Recover(guard, Const(value=True, span=span), Const(value=False, span=span), span)
    test = Value(went_through, named("bool"), Level.OUTPUT)
    branch = frame.new_id("if")
    flow.wrapped(after_body, before, from_body)
    for cell, held in after_body.lists.items():
        after_body.lists[cell] = wrapped_list(held, before.lists.get(cell), from_body)
    frame.scope = after_body
    with frame.inner_region() as nodes:
        statements.block(frame, node.orelse)
    frame.emit(Branch(branch, went_through, tuple(nodes), (), frame.barrier, span))

    def choose(one: Value, other: Value) -> Value:
        return selected(branch, test, one, other, span)

    merge = frame.merge(choose, span, ("if the body goes through", "if the body fails"))
    handled = after_handler.copy()

    def from_handler(value: Value) -> Value:
        if value.poisoned or value.is_static:
            return value
        return replace(value, expr=Recover(guard, nothing, value.expr, span), level=Level.OUTPUT)

    flow.wrapped(handled, before, from_handler)
    for cell, held in handled.lists.items():
        handled.lists[cell] = wrapped_list(held, before.lists.get(cell), from_handler)
    frame.scope = merge.scopes(frame.scope, handled)


def wrapped_list(held: ListContent, before: ListContent | None, wrap: object) -> ListContent:
    """A list whose parts that were added since ``before`` are wrapped."""
    if held is before:
        return held
    known = {id(part) for frame in (before.frames if before else ()) for part in frame}
    frames = tuple(
        tuple(part if id(part) in known else wrap_part(part, wrap) for part in frame)
        for frame in held.frames
    )
    return replace(held, frames=frames)


def wrap_part(part: Value, wrap: object) -> Value:
    """A part of a list, item by item where these are known."""
    assert callable(wrap)  # noqa: S101 - given by this module only
    if part.parts is None:
        wrapped: Value = wrap(part)
        return wrapped
    from .values import display

    return display("list", tuple(wrap(item) for item in part.parts), part.expr.span)


def recovered(
    frame: Frame, guard: str, after_body: Scope, after_handler: Scope, span: Span
) -> Scope:
    """The scope after a guard with a handler."""

    def choose(one: Value, other: Value) -> Value:
        return Value(
            Recover(guard, one.expr, other.expr, span),
            types.union((one.type, other.type)),
            Level.OUTPUT,
            size=size_of((one, other)),
        )

    ways = ("if the body goes through", "if the body fails")
    return frame.merge(choose, span, ways).scopes(after_body, after_handler)


def lower_handler(
    frame: Frame, node: ast.Try, before: Scope, after_body: Scope, span: Span
) -> tuple[Node, ...]:
    """The handler's region; the frame's scope is then that at its end."""
    frame.scope = interrupted(frame, before, after_body, span)
    handler = node.handlers[0]
    if handler.name:
        frame.scope.names[handler.name] = Unusable(
            "exception-value",
            f"the exception `{handler.name}` is not passed on to the pipeline",
            "read it in the run's record, or catch it in the step and return what is needed",
        )
    with frame.inner_region() as nodes:
        statements.block(frame, handler.body)
    if handler.name:
        frame.scope.names.pop(handler.name, None)
    return tuple(nodes)


def interrupted(frame: Frame, before: Scope, after: Scope, span: Span) -> Scope:
    """The scope where ``after`` may not have been reached.

    A name that first changed with nothing after it that could have failed still has its earlier
    value; any other may have either.
    """
    now = frame.building.emitted
    scope = before.copy()
    for name, binding in after.names.items():
        if before.names.get(name) is binding:
            continue
        if isinstance(binding, Value) and binding.poisoned:
            scope.names[name] = binding
        elif after.when.get(name, 0) < now:
            scope.names[name] = _uncertain(name, span)
    for cell, held in after.lists.items():
        earlier = before.lists.get(cell)
        if earlier is not None and earlier is not held:
            certain = after.when.get(cell, 0) == now
            scope.lists[cell] = _interrupted_list(earlier, held, span, certain=certain)
    return scope


def _interrupted_list(
    earlier: ListContent, held: ListContent, span: Span, *, certain: bool
) -> ListContent:
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


def finish(
    frame: Frame,
    node: ast.Try,
    identity: str,
    before: Scope,
    regions: tuple[tuple[Node, ...], tuple[Node, ...] | None],
    span: Span,
) -> None:
    """``finally``: its region, and the scope after it."""
    after = frame.scope
    frame.building.emitted += 1  # anything of the guard may have failed before this place
    frame.scope = interrupted(frame, before, after, span)
    # What a list holds cannot be told here, yet what is appended here comes after the body's.
    for cell, held in frame.scope.lists.items():
        if held.broken is not None:
            frame.scope.lists[cell] = replace(after.lists[cell], broken=held.broken)
    start = frame.scope.copy()
    with frame.inner_region() as final:
        statements.block(frame, node.finalbody)
    body, handler = regions
    if handler is None and not final:
        # Nothing is left to guard: the body's nodes are those of the region around it.
        for item in body:
            frame.emit(replace(item, after=tuple(dict.fromkeys((*frame.barrier, *item.after)))))
    else:
        frame.emit(Guard(identity, body, handler, tuple(final), frame.barrier, span))
    frame.scope = overlaid(after, start, frame.scope)


def overlaid(after: Scope, start: Scope, final: Scope) -> Scope:
    """The scope after the body, with what the ``finally`` has changed."""
    scope = after.copy()
    for name, binding in final.names.items():
        if start.names.get(name) is not binding:
            scope.names[name] = binding
            scope.when.setdefault(name, final.when.get(name, 0))
    for cell, held in final.lists.items():
        began = start.lists.get(cell)
        if began is None:
            scope.lists[cell] = held
        elif began is not held:
            known_after = held.broken is began.broken
            broken = after.lists[cell].broken if known_after else held.broken
            scope.lists[cell] = replace(held, broken=broken)
    return scope


def check_handlers(frame: Frame, node: ast.Try) -> None:
    """Only one handler, and only for every exception: engines cannot tell them apart."""
    for handler in node.handlers[1:]:
        frame.reports.error(
            "except-type",
            frame.span(handler),
            "a `try` of a pipeline can have one `except` only",
            help="tell exceptions apart in the step, where they are raised",
        )
    for handler in node.handlers[:1]:
        if handler.type is None or is_exception(frame, handler.type):
            continue
        frame.reports.error(
            "except-type",
            frame.span(handler.type),
            f"`except {frame.text(handler.type)}` cannot be used in a pipeline: "
            "an engine knows that a step has failed, not why",
            help="write `except Exception:`, and catch what is special in the step",
        )


def is_exception(frame: Frame, node: ast.expr) -> bool:
    """Whether a handler's type is the builtin ``Exception``."""
    if not isinstance(node, ast.Name) or node.id != "Exception":
        return False
    return frame.building.modules.lookup(frame.module, node.id) is None or isinstance(
        frame.building.modules.lookup(frame.module, node.id), m.External
    )
