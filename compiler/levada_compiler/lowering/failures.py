"""``raise`` and ``assert``: what ends a pipeline with an exception."""

from __future__ import annotations

import ast
import builtins

from ..diagnostics.diagnostic import Label
from ..diagnostics.reports import did_you_mean
from ..front import exceptions
from ..front import modules as m
from ..program.ir import Error, Fail, Unary
from . import blocks, calls, checks, proven
from .arguments import lower_arguments
from .blocks import STATEMENTS, Ending
from .lowering import expression
from .values import BOOL, ERROR, Lowered, made_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..front.exceptions import ExceptionClass
    from .frame import Frame


def _raise(frame: Frame, node: ast.Raise, _: list[ast.stmt]) -> blocks.Handled:
    if node.exc is None:
        _raise_again(frame, node)
    elif not _is_handled(frame, node.exc):
        _raise_new(frame, node, node.exc)
    else:
        guard = expression(frame, node.exc).expr
        assert isinstance(guard, Error)  # noqa: S101 - see _is_handled
        fail(frame, None, (), guard.guard, node)
    if node.cause is not None and not _is_handled(frame, node.cause):
        _check_cause(frame, node.cause)
    return Ending.RAISES, False


def _is_handled(frame: Frame, node: ast.expr) -> bool:
    """Return whether a name stands for the exception that a handler handles."""
    binding = frame.scope.names.get(node.id) if isinstance(node, ast.Name) else None
    return isinstance(binding, Lowered) and binding.type == ERROR


def _raise_again(frame: Frame, node: ast.Raise) -> None:
    if frame.guards:
        fail(frame, None, (), frame.guards[-1], node)
        return
    frame.reports.error(
        "unsupported-statement",
        frame.span(node),
        "`raise` without an exception stands outside of an `except`",
        help="raise an exception: `raise ValueError(…)`",
    )


def _raise_new(frame: Frame, node: ast.Raise, raised: ast.expr) -> None:
    callee, given = raised, None
    if isinstance(raised, ast.Call):
        callee = raised.func
        given = lower_arguments(frame, raised)
    found = class_of(frame, callee)
    if given is not None and (given.is_poisoned or found is None):
        return
    if found is None:
        return
    if given is not None and (given.keywords or given.open):
        report_class(frame, callee, "its arguments are given by name", found)
        return
    values = given.positional if given is not None else []
    if checks.check_plain(frame, node, values):
        fail(frame, found, tuple(values), "", node)


def _check_cause(frame: Frame, cause: ast.expr) -> None:
    """``raise … from x``: the cause is one in Python's traceback; here it has no effect."""
    if not (isinstance(cause, ast.Constant) and cause.value is None):
        class_of(frame, cause.func if isinstance(cause, ast.Call) else cause)


def fail(
    frame: Frame,
    found: ExceptionClass | None,
    arguments: tuple[Lowered, ...],
    guard: str,
    node: ast.AST,
) -> None:
    """Emit the node that ends the region with an exception."""
    span = frame.span(node)
    identity = frame.new_id("raise")
    names = found.names if found is not None else ()
    values = tuple(value.expr for value in arguments)
    frame.emit(Fail(identity, names, values, guard, (), span))


def class_of(frame: Frame, node: ast.expr) -> ExceptionClass | None:
    """Return the exception class that an expression names; None after a diagnostic."""
    definition = calls.callee_of(frame, node)
    if definition is None or not isinstance(definition, m.Class | m.External):
        frame.reports.error(
            "exception-class",
            frame.span(node),
            f"`{frame.text(node)}` is not an exception class",
            help=did_you_mean(frame.text(node), vars(builtins), "name one, such as `ValueError`"),
        )
        return None
    found = exceptions.find(frame.building.modules, definition)
    if isinstance(found, str):
        report_class(frame, node, found, definition)
        return None
    return found


def report_class(frame: Frame, node: ast.expr, why: str, definition: object) -> None:
    """Report an exception class that is not known well enough."""
    labels: tuple[Label, ...] = ()
    if isinstance(definition, m.Class):
        labels = (Label(definition.module.span(definition.node), "it is defined here"),)
    frame.reports.error(
        "exception-class",
        frame.span(node),
        f"`{frame.text(node)}` is not known while compiling: {why}",
        labels=labels,
        help="use a builtin exception or one of the project; in a step any can be raised",
    )


def _assert(frame: Frame, node: ast.Assert, _: list[ast.stmt]) -> blocks.Handled:
    test = expression(frame, node.test)
    span = frame.span(node.test)

    def fails() -> Ending:
        message = () if node.msg is None else (expression(frame, node.msg),)
        if not any(value.poisoned for value in message) and checks.check_plain(
            frame, node, message
        ):
            fail(frame, exceptions.builtin("AssertionError"), message, "", node)
        return Ending.RAISES

    def passes() -> Ending:
        proven.prove(frame, node.test, holds=True)
        return Ending.FALLS

    if test.is_static:
        return (passes() if test.static else fails()), False
    refused = made_of(Unary("not", test.expr, span), BOOL, (test,))
    return blocks.decide(frame, refused, fails, passes, span), False


STATEMENTS.update({ast.Raise: _raise, ast.Assert: _assert})
