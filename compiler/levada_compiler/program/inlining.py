"""Which named values are written out where they are used, instead of by their name.

A name says nothing that the expression itself does not say better, where it is used once and the
expression is small.
"""

from __future__ import annotations

from .ir import Collect, Comprehension, Guard, Lambda, Loop, Use, Value, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from .ir import Expr, Node, Program

#: How many parts an expression may have that is written out, those written out in it included.
MOST_PARTS: Final = 12


def inlined(program: Program, *, raising: bool = True) -> frozenset[str]:
    """Return the ids of the values that are written out where they are used.

    Without ``raising`` those that may raise are not among them: they keep their place, so that of
    several failures the first in the source is found.
    """
    values = {node.id: node for node in walk(program.body) if isinstance(node, Value)}
    if not values:
        return frozenset()
    uses: dict[str, list[bool]] = {name: [] for name in values}
    for expression in _expressions(program):
        for name, is_repeated in _uses(expression):
            uses[name].append(is_repeated)
    needed = _needed(program)
    loops = dict(_loops(program.body, ()))
    sizes: dict[str, int] = {}
    for name, value in values.items():
        once = len(uses[name]) == 1 and (not uses[name][0] or loops[name])
        size = sum(
            sizes.get(getattr(each, "value", ""), 1) if isinstance(each, Use) else 1
            for each in value.value.walk()
        )
        kept = name in needed or (value.raises and not raising)
        if once and not kept and size <= MOST_PARTS:
            sizes[name] = size
    return frozenset(sizes)


def _expressions(program: Program) -> Iterator[Expr]:
    for node in walk(program.body):
        yield from node.expressions()
    yield from program.result.values


def _needed(program: Program) -> set[str]:
    """Return the values that nodes name: something has to evaluate these."""
    found = set(program.result.after)
    for node in walk(program.body):
        found.update(node.after)
        if isinstance(node, Guard):
            found.update(node.checks)
        if isinstance(node, Value) and node.is_checked:
            found.add(node.id)
    return found


def _loops(
    nodes: tuple[Node, ...], around: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the ids of nodes with those of the loops around them."""
    for node in nodes:
        yield node.id, around
        inner = (*around, node.id) if isinstance(node, Loop) else around
        for region in node.regions():
            yield from _loops(region, inner)


def _uses(expression: Expr) -> Iterator[tuple[str, bool]]:
    """Yield the values that an expression uses, and whether that is once for each of some items."""
    stack = [(expression, False)]
    while stack:
        each, is_repeated = stack.pop()
        if isinstance(each, Use):
            yield each.value, is_repeated
        inner = is_repeated or isinstance(each, Comprehension | Collect | Lambda)
        stack += [(child, inner) for child in each.children()]
