"""Whether the steps of a run kept the order of the source, told by the times in its records.

It knows the structure of the program and nothing of how the compiler or an engine orders it. Two
calls in one region have to be in order if one of them, or what it is in, is there for a side
effect: a call whose result nobody uses. What follows a `try` waits for all of it. Iterations of a
loop need not be in order, but in a loop with `max_parallel=1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from levada_compiler.program import ir

Interval = tuple[str, str]
#: Where a call stands: the position in each region on the way, or the number of an iteration.
Way = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Order:
    """The order that a program asks for."""

    program: ir.Program

    def violations(self, times: dict[tuple[str, tuple[int, ...]], Interval]) -> list[str]:
        """Say which calls began before another one was over that they have to wait for."""
        placed = {key: way for key in times if (way := self.way(*key)) is not None}
        keys = sorted(placed, key=lambda key: placed[key])
        return [
            f"{later} began at {times[later][0]}, before {earlier} was over at {times[earlier][1]}"
            for earlier, later in combinations(keys, 2)
            if self.is_ordered(placed[earlier], placed[later])
            and times[later][0] < times[earlier][1]
        ]

    def is_ordered(self, one: Way, other: Way) -> bool:
        """Whether a call has to wait for another one that stands before it."""
        for (kind, here), (_, there) in zip(one, other, strict=False):
            if here == there:
                continue
            if kind.startswith("iteration"):
                return kind == "iteration in order"
            if kind == "part":
                return True
            nodes = self._regions[kind]
            earlier, later = nodes[here], nodes[there]
            return (
                isinstance(earlier, ir.Guard) or self.has_effect(earlier) or self.has_effect(later)
            )
        return False

    def way(self, node: str, index: tuple[int, ...]) -> Way | None:
        """Return where an iteration of a node stands; None for what is no node of the program."""
        steps = self._ways.get(node)
        if steps is None:
            return None
        if len(index) < sum(kind.startswith("iteration") for kind, _ in steps):
            return None  # a failure of the list of items itself
        numbers = iter(index)
        return tuple(
            (kind, next(numbers) if kind.startswith("iteration") else at) for kind, at in steps
        )

    def nodes(self) -> list[ir.Node]:
        """Return all nodes of the program."""
        return list(ir.walk(self.program.body))

    def has_effect(self, node: ir.Node) -> bool:
        """Whether there is a call in a node whose result nobody uses."""
        return any(
            isinstance(each, ir.Fail) or (isinstance(each, ir.Call) and each.id not in self._used)
            for each in node.walk()
        )

    @cached_property
    def _used(self) -> set[str]:
        expressions = [e for node in ir.walk(self.program.body) for e in node.expressions()]
        expressions += self.program.result.values
        inner = (each for expression in expressions for each in expression.walk())
        return {each.node for each in inner if isinstance(each, ir.Output)}

    @cached_property
    def _regions(self) -> dict[str, tuple[ir.Node, ...]]:
        """Each region by the id of its node and its name."""
        found = {"": self.program.body}
        for node in ir.walk(self.program.body):
            found |= {f"{node.id} {name}": region for name, region in node.parts()}
        return found

    @cached_property
    def _ways(self) -> dict[str, Way]:
        found: dict[str, Way] = {}
        self._survey("", (), found)
        return found

    def _survey(self, region: str, before: Way, found: dict[str, Way]) -> None:
        for at, node in enumerate(self._regions[region]):
            way = (*before, (region, at))
            found[node.id] = way
            inner = way
            if isinstance(node, ir.Loop):
                ordered = node.max_parallel == 1
                inner = (*way, ("iteration in order" if ordered else "iteration", 0))
            for number, (name, _) in enumerate(node.parts()):
                self._survey(f"{node.id} {name}", (*inner, ("part", number)), found)
