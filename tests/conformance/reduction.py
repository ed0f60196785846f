"""Make a module that shows a fault as small as possible: leave out statements while it shows it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Edit = tuple[ast.AST, str, object]
_PARTS = ast.stmt, ast.ExceptHandler, ast.match_case


def reduced(source: str, shows: Callable[[str], bool]) -> str:
    """Return a smaller text of a module for which ``shows`` is still true."""
    tree = ast.parse(source)
    for edits in (_fewer_statements, _smaller_expressions):
        kept = [True]
        while any(kept):
            kept = [_try(tree, edit, shows) for edit in edits(tree)]
    return ast.unparse(tree)


def _try(tree: ast.Module, edit: Edit, shows: Callable[[str], bool]) -> bool:
    """Keep an edit if the module shows the fault with it."""
    node, name, smaller = edit
    before = getattr(node, name)
    setattr(node, name, smaller)
    if _is_module(tree) and shows(ast.unparse(tree)):
        return True
    setattr(node, name, before)
    return False


def _is_module(tree: ast.Module) -> bool:
    try:
        ast.parse(ast.unparse(tree))
    except (SyntaxError, ValueError):
        return False
    return True


def _fewer_statements(tree: ast.Module) -> Iterator[Edit]:
    """Yield blocks without a statement each, and with a block in the place of its statement."""
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if not isinstance(value, list) or not all(isinstance(x, _PARTS) for x in value):
                continue
            for item in value:
                yield from ((node, name, each) for each in _without(getattr(node, name), item))


def _without(items: list[ast.AST], item: ast.AST) -> Iterator[list[ast.AST]]:
    if item not in items:
        return
    at = items.index(item)
    yield [*items[:at], *items[at + 1 :]]
    for name in ("body", "orelse", "finalbody"):
        inner = getattr(item, name, None)
        if isinstance(item, ast.stmt) and isinstance(inner, list) and inner:
            yield [*items[:at], *inner, *items[at + 1 :]]


def _smaller_expressions(tree: ast.Module) -> Iterator[Edit]:
    """Yield statements with a part of an expression in its place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments | ast.ClassDef | ast.arg):
            continue
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr) and not isinstance(value, ast.Name | ast.Constant):
                inner = [each for each in ast.iter_child_nodes(value) if isinstance(each, ast.expr)]
                yield from ((node, name, each) for each in (*inner, ast.Constant(1)))
            elif isinstance(value, list) and all(isinstance(each, ast.expr) for each in value):
                for at, each in enumerate(value):
                    inner = [x for x in ast.iter_child_nodes(each) if isinstance(x, ast.expr)]
                    yield from ((node, name, [*value[:at], x, *value[at + 1 :]]) for x in inner)
