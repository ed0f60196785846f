"""The nodes that must be over before an expression can be evaluated."""

from __future__ import annotations

from .expression_text import regions
from .ir import (
    Attribute,
    Binary,
    BoolOp,
    Branch,
    Collect,
    Compare,
    Concat,
    DictDisplay,
    Display,
    Expr,
    Field,
    Format,
    Guard,
    Loop,
    Member,
    Node,
    Output,
    Program,
    Recover,
    Select,
    Sequence,
    Slice,
    Subscript,
    Unary,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def all_nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    """Every node of a region and of the regions within it, in source order."""
    for node in nodes:
        yield node
        for region in regions(node):
            yield from all_nodes(region)


class References:
    """Finds what expressions refer to."""

    def __init__(self, program: Program) -> None:
        nodes = tuple(all_nodes(program.body))
        self._loops = {node.id: node for node in nodes if isinstance(node, Loop)}
        self._branches = {node.id: node for node in nodes if isinstance(node, Branch)}
        self._guards = {node.id: node for node in nodes if isinstance(node, Guard)}
        self._within: dict[str, frozenset[str]] = {}

    def of(self, expression: Expr) -> Iterator[str]:
        """Ids of calls, and of guards as a whole; in the order of the text, with repeats."""
        match expression:
            case Output(node=node):
                yield node
            case Recover(guard=guard):
                yield guard
                within = self._inside(guard)
                for child in (expression.body, expression.handler):
                    yield from (name for name in self.of(child) if name not in within)
            case _:
                for child in self._children(expression):
                    yield from self.of(child)

    def _inside(self, guard: str) -> frozenset[str]:
        if guard not in self._within:
            inside = all_nodes([self._guards[guard]])
            self._within[guard] = frozenset(node.id for node in inside)
        return self._within[guard]

    def _children(self, expression: Expr) -> Iterable[Expr]:
        match expression:
            case Collect():
                loop = self._loops[expression.loop]
                return (loop.items, *loop.conditions, expression.value)
            case Select():
                branch = self._branches[expression.branch]
                return (branch.condition, expression.then, expression.otherwise)
            case Format():
                return [part.value for part in expression.parts if isinstance(part, Field)]
            case DictDisplay():
                return [value for pair in expression.items for value in pair]
            case Sequence():
                return [value for _, value in expression.arguments]
            case _:
                return _operands(expression)


def _operands(expression: Expr) -> tuple[Expr, ...]:
    match expression:
        case Attribute(value=value) | Member(value=value):
            return (value,)
        case Subscript(value=value, index=index):
            return (value, index)
        case Slice(lower=lower, upper=upper, step=step):
            return (lower, upper, step)
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Compare(operands=operands) | BoolOp(operands=operands):
            return operands
        case Display(items=items):
            return items
        case Concat(parts=parts):
            return parts
        case _:
            return ()
