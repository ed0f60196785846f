"""What must be over before an expression can be evaluated."""

from __future__ import annotations

from .ir import (
    Call,
    Catches,
    Collect,
    Error,
    Expr,
    Guard,
    Node,
    Output,
    Program,
    Recover,
    Select,
    Use,
    Value,
    walk,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class References:
    """Finds the calls that expressions refer to, and the guards whose end they ask for."""

    def __init__(self, program: Program) -> None:
        self._nodes: dict[str, Node] = {node.id: node for node in walk(program.body)}
        self._calls = [n.id for n in self._nodes.values() if isinstance(n, Call | Guard)]
        self._bits = {name: 1 << at for at, name in enumerate(self._calls)}
        self._around: dict[str, int] = {}  #: the guards around each node
        for guard in self._nodes.values():
            for inner in guard.walk() if isinstance(guard, Guard) else ():
                self._around[inner.id] = self._around.get(inner.id, 0) | self._bits[guard.id]
        self._found: dict[str, int] = {}  #: of values, branches, loops and guards, by their id

    def of(self, expression: Expr) -> list[str]:
        """Return the ids of calls, and of guards as a whole, in the order of the source."""
        return self._names(self._of(expression))

    def of_node(self, node: Node) -> list[str]:
        """Return those that the node itself needs: in its expressions and for its values.

        A node of a ``finally`` may ask how the body ended: it starts after that in any case.
        """
        return self._names(self._of_node(node))

    def count_of(self, node: Node) -> int:
        """Return how many ids :meth:`of_node` has."""
        return self._of_node(node).bit_count()

    def _of_node(self, node: Node) -> int:
        found = self._of_all(node.expressions())
        for name in node.after:
            if isinstance(self._nodes[name], Value):
                found |= self._of_named(name)
        return found & ~self._around.get(node.id, 0)

    def of_values(self, names: Iterable[str]) -> list[str]:
        """Return those that the named values need."""
        found = 0
        for name in names:
            found |= self._of_named(name)
        return self._names(found)

    def _names(self, found: int) -> list[str]:
        names = []
        while found:
            lowest = found & -found
            names.append(self._calls[lowest.bit_length() - 1])
            found ^= lowest
        return names

    def _of_all(self, expressions: Iterable[Expr]) -> int:
        found = 0
        for expression in expressions:
            found |= self._of(expression)
        return found

    def _of(self, expression: Expr) -> int:
        found = 0
        stack = [expression]
        while stack:
            each = stack.pop()
            match each:
                case Output(node=name):
                    found |= self._bits[name]
                case Use(value=name):
                    found |= self._of_named(name)
                case Collect(loop=name) | Select(branch=name):
                    found |= self._of_named(name)
                    stack += each.children()
                case Recover(guard=name):
                    inner = self._of_all(each.children()) | self._of_checks(name)
                    found |= self._bits[name] | inner & ~self._inside(name)
                case Error(guard=name) | Catches(guard=name):
                    found |= self._of_checks(name) & ~self._inside(name)
                case _:
                    stack += each.children()
        return found

    def _of_named(self, name: str) -> int:
        """Return what the value, the items of the loop or the condition of the branch needs."""
        if not self._found:
            for node in self._nodes.values():  # in source order, so that none asks for a later one
                self._found[node.id] = 0
                self._found[node.id] = self._of_all(node.expressions())
        return self._found[name]

    def _of_checks(self, guard: str) -> int:
        node = self._nodes[guard]
        found = 0
        for name in node.checks if isinstance(node, Guard) else ():
            found |= self._of_named(name)
        return found

    def _inside(self, guard: str) -> int:
        node = self._nodes[guard]
        return sum(self._bits[each.id] for each in node.walk() if each.id in self._bits)


def awaited(expr: Expr) -> Iterator[str]:
    """Yield ids of the nodes that must be over for ``expr`` to have a value."""
    stack = [expr]
    while stack:
        item = stack.pop()
        match item:
            case Output(node=name) | Use(value=name) | Collect(loop=name) | Select(branch=name):
                yield name
            case Recover(guard=name):
                yield name
            case _:
                stack.extend(item.children())
