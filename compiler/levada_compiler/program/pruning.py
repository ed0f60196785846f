"""Removes named values that nothing uses."""

from __future__ import annotations

from .ir import Guard, Use, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .ir import Expr, Node


def pruned(nodes: Sequence[Node], results: Iterable[Expr]) -> tuple[Node, ...]:
    """Return the body without the values that neither a node nor a result uses.

    A value that may raise stays: Python evaluates it.
    """
    used: set[str] = set()
    _note(results, used)
    return _region(nodes, used)


def _note(expressions: Iterable[Expr], used: set[str]) -> None:
    for expression in expressions:
        used.update(each.value for each in expression.walk() if isinstance(each, Use))


def _region(nodes: Sequence[Node], used: set[str]) -> tuple[Node, ...]:
    kept: list[Node] = []
    for node in reversed(nodes):  # what uses a value comes after it
        if isinstance(node, Value) and not node.raises and node.id not in used:
            continue
        changed: dict[str, object] = {}
        for name, inner in reversed(node.parts()):
            changed[name] = _region(inner, used)
        if isinstance(node, Guard) and node.handler is None:
            changed["handler"] = None
        _note(node.expressions(), used)
        used.update(node.after)
        kept.append(node.changed(**changed) if changed else node)
    return tuple(reversed(kept))
