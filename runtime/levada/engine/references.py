"""Which nodes an expression of a plan refers to."""

from __future__ import annotations

from levada import expressions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_NO_NAME = str.maketrans("(),[]", "     ")


def references(text: str, nodes: Collection[str], bound: Collection[str]) -> Iterator[str]:
    """The ids among ``nodes`` that an expression names.

    A dotted name stands for its longest prefix that is a node; loop variables (``bound``) hide
    nodes of the same name.
    """
    for dotted in sorted(expressions.references(text)):
        words = dotted.split(".")
        prefixes = (".".join(words[:length]) for length in range(len(words), 0, -1))
        node = next((name for name in prefixes if name in nodes), None)
        if node is not None and words[0] not in bound:
            yield node


def variables(target: str) -> tuple[str, ...]:
    """The names that a loop's target binds, in order: ``i, (a, b)`` binds three."""
    return tuple(target.translate(_NO_NAME).split())
