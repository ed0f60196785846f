"""The constructs of the language as a target sees them, and where a program uses them."""

from __future__ import annotations

from . import ir
from .references import all_nodes

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
    "pipeline outputs": "an output of the pipeline",
}

_COMPUTED = (ir.Unary, ir.Binary, ir.Compare, ir.BoolOp, ir.Format, ir.Subscript)


def constructs_of(program: ir.Program) -> Iterator[tuple[str, Span]]:
    """Yield the constructs that a program uses with their places, those of a node together."""
    for parameter in program.parameters:
        yield "parameters", parameter.span
    for node in all_nodes(program.body):
        yield from _of_node(node)
        yield from _of_expressions(_own_expressions(node))
    if program.result is not None:
        yield "pipeline outputs", program.result.span
        yield from _of_expressions(program.result.values)


def _of_node(node: ir.Node) -> Iterator[tuple[str, Span]]:
    if node.after:
        yield "after", node.span
    match node:
        case ir.Call():
            yield "step call", node.span
            if node.settings:
                yield "options", node.settings[0].span
        case ir.Branch():
            yield "branch", node.span
        case ir.Loop():
            yield "fan-out", node.span
            inner = (each for each in all_nodes(node.body) if isinstance(each, ir.Loop))
            yield from (("nested fan-out", each.span) for each in inner)
        case ir.Guard():
            if node.handler is not None:
                yield "try/except", node.span
            if node.final:
                yield "try/finally", node.span
        case ir.Group():
            yield "sub-pipeline", node.span


def _own_expressions(node: ir.Node) -> tuple[ir.Expr, ...]:
    match node:
        case ir.Call():
            return tuple(argument.value for argument in node.arguments)
        case ir.Branch():
            return (node.condition,)
        case ir.Loop():
            return (node.items, *node.conditions)
    return ()


def _of_expressions(expressions: Iterable[ir.Expr]) -> Iterator[tuple[str, Span]]:
    pending: list[object] = list(expressions)
    while pending:
        item = pending.pop()
        if isinstance(item, _COMPUTED):
            yield "expressions", item.span
        if isinstance(item, ir.Attribute):
            yield "named outputs", item.span
        if isinstance(item, tuple):
            pending += item
        elif isinstance(item, ir.Expr | ir.Field):
            pending += [getattr(item, name) for name in item.__match_args__ if name != "span"]
