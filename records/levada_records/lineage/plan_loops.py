"""The loops of a plan: what their variables stand for, and which steps are in which."""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: Where a node of a plan has other nodes.
_REGIONS = ("body", "then", "otherwise", "handler", "final")
#: How deep nodes of a plan are looked at; a compiler refuses deeper ones.
_DEEPEST = 200


class PlanLoops:
    """The loops of a plan, which may be damaged or missing.

    ``items`` has for each variable of a loop the expression that it is an item of.
    """

    def __init__(self, plan: Any) -> None:
        self.items: dict[str, str] = {}
        self._around: dict[str, tuple[str, ...]] | None = None
        if isinstance(plan, dict):
            self._around = {}
            self._survey(plan.get("body"), ())

    def around_both(self, one: str, other: str) -> int | None:
        """Return how many loops are around both of two nodes; None without a plan."""
        if self._around is None:
            return None
        count = 0
        pairs = zip(self._around.get(one, ()), self._around.get(other, ()), strict=False)
        for mine, others in pairs:
            if mine != others:
                break
            count += 1
        return count

    def _survey(self, nodes: Any, loops: tuple[str, ...], depth: int = 0) -> None:
        if self._around is None or not isinstance(nodes, list) or depth > _DEEPEST:
            return
        for node in nodes:
            if not isinstance(node, dict):
                continue
            name, inner = str(node.get("id")), loops
            self._around[name] = loops
            if node.get("kind") == "loop":
                inner = (*loops, name)
                self.items |= _items_of(str(node.get("target")), str(node.get("items")))
            for region in _REGIONS:
                self._survey(node.get(region), inner, depth + 1)


def gathered(text: str) -> str:
    """Return an expression with what a loop gathers in the place of the gathering.

    What the loop goes over says how much is gathered, but is not what is gathered.

    >>> gathered("sum([score[f] for f in fits])")
    'sum(score[f])'
    """
    try:
        return ast.unparse(_Gathered().visit(ast.parse(f"({text})", mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text


class _Gathered(ast.NodeTransformer):
    """Puts ``score[f]`` in the place of ``[score[f] for f in fits]``."""

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        self.generic_visit(node)
        own = {ast.unparse(part.target) for part in node.generators}
        if isinstance(node.elt, ast.Subscript) and len(node.generators) == 1:
            named = {each.id for each in ast.walk(node.elt.value) if isinstance(each, ast.Name)}
            if not named & own:
                return node.elt
        return node


def _items_of(target: str, items: str) -> dict[str, str]:
    """Return for each variable of a target the expression that it is an item of.

    >>> _items_of("i, (f, n)", "enumerate(zip(fits, scores))")
    {'i': '', 'f': 'fits', 'n': 'scores'}
    """
    try:
        bound = ast.parse(f"({target})", mode="eval").body
        given = _Gathered().visit(ast.parse(f"({items})", mode="eval").body)
        return {name: ast.unparse(of) if of else "" for name, of in _bound(bound, given)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}


def _bound(target: ast.expr, items: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield each variable of a target, and what it is an item of: nothing if it is a number."""
    if isinstance(target, (ast.Name, ast.Attribute)):
        yield ast.unparse(target), items
    elif isinstance(target, ast.Tuple):
        parts = _parts(items, len(target.elts))
        for each, part in zip(target.elts, parts, strict=True):
            yield from _bound(each, part)


def _parts(items: ast.expr | None, count: int) -> list[ast.expr | None]:
    """Return what each part of an item is an item of."""
    match items:
        case ast.Call(func=ast.Name(id="zip"), args=args) if len(args) == count:
            starred = any(isinstance(each, ast.Starred) for each in args)
            return [items] * count if starred else [*args]
        case ast.Call(func=ast.Name(id="enumerate"), args=[first, *_]) if count == 2:
            return [None, first]
    return [items] * count
