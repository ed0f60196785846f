"""The constructs of the language as a target sees them, and where a program uses them."""

from __future__ import annotations

from . import ir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from ..diagnostics.diagnostic import Span

#: The name in a target's capabilities, and how a message calls it.
CONSTRUCTS: Final = {
    "step call": "a step call",
    "named outputs": "a named output of a step",
    "parameters": "a parameter of the pipeline",
    "expressions": "an expression that is computed during the run",
    "branch": "an `if` that is decided during the run",
    "fan-out": "a loop over values that are known only during the run",
    "nested fan-out": "a loop over run-time values within another one",
    "try/finally": "`finally`",
    "try/except": "`except`",
    "sub-pipeline": "a call of another pipeline",
    "after": "an order without data",
    "options": "settings of one call",
    "raise": "an exception that the pipeline raises",
    "pipeline outputs": "an output of the pipeline",
}

#: Expressions that compute nothing: they name a value, or put values together.
_NAMING: Final = (
    *(ir.Const, ir.Param, ir.Member, ir.Output, ir.Use, ir.Item, ir.Attribute, ir.Display),
    *(ir.DictDisplay, ir.Collect, ir.Concat, ir.Select, ir.Recover, ir.Instance, ir.FromJson),
)


def constructs_of(program: ir.Program) -> Iterator[tuple[str, Span]]:
    """Yield the constructs that a program uses with their places, those of a node together."""
    for parameter in program.parameters:
        yield "parameters", parameter.span
    for node in ir.walk(program.body):
        yield from _of_node(node)
        yield from _of_expressions(node.expressions())
    if program.result.values:
        yield "pipeline outputs", program.result.span
        yield from _of_expressions(program.result.values)


def _of_node(node: ir.Node) -> Iterator[tuple[str, Span]]:
    if node.after:
        yield "after", node.span
    match node:
        case ir.Call():
            yield "step call", node.span
            if written := written_settings(node):
                yield "options", written[0].span
        case ir.Branch():
            yield "branch", node.span
        case ir.Loop():
            yield "fan-out", node.span
            inner = (each for each in ir.walk(node.body) if isinstance(each, ir.Loop))
            yield from (("nested fan-out", each.span) for each in inner)
        case ir.Guard():
            if node.handler is not None:
                yield "try/except", node.span
            if node.final:
                yield "try/finally", node.span
        case ir.Fail():
            yield "raise", node.span
        case ir.Group():
            yield "sub-pipeline", node.span


def written_settings(node: ir.Call) -> tuple[ir.Setting, ...]:
    """Return the settings of a call that its source has; the compiler gives it others."""
    return tuple(setting for setting in node.settings if setting.span != node.span)


def _of_expressions(expressions: Iterable[ir.Expr]) -> Iterator[tuple[str, Span]]:
    for expression in expressions:
        for each in expression.walk():
            if not isinstance(each, _NAMING):
                yield "expressions", each.span
            if isinstance(each, ir.Attribute):
                yield "named outputs", each.span
