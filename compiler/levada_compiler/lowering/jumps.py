"""What the syntax of a block says of the jumps in it."""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

_JUMPS: Final = (ast.Return, ast.Break, ast.Continue)
_OWN_SCOPE: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def always(body: Sequence[ast.stmt]) -> bool:
    """Return whether control never goes on behind a block: it jumps or raises on every path."""
    return any(map(_ends, body))


def _ends(node: ast.stmt) -> bool:
    match node:
        case ast.Return() | ast.Break() | ast.Continue() | ast.Raise():
            return True
        case ast.If(body=body, orelse=orelse):
            return always(body) and always(orelse)
        case ast.With(body=body):
            return always(body)
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
            handled = all(always(handler.body) for handler in handlers)
            return always(final) or ((always(body) or always(orelse)) and handled)
        case ast.Match(cases=cases):
            whole = any(_takes_all(case) for case in cases)
            return whole and all(always(case.body) for case in cases)
    return False


def _takes_all(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and not case.pattern.pattern


def always_raises(body: Sequence[ast.stmt]) -> bool:
    """Return whether a block ends by an exception on every path, and never by a jump."""
    return always(body) and not any(True for _ in found(body))


def found(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the jumps that leave a block: those of loops within it stay in there."""
    stack: list[tuple[ast.AST, bool]] = [(node, False) for node in reversed(body)]
    while stack:
        node, in_loop = stack.pop()
        if isinstance(node, _JUMPS):
            if isinstance(node, ast.Return) or not in_loop:
                assert isinstance(node, ast.stmt)  # noqa: S101 - all of them are
                yield node
            continue
        if isinstance(node, _OWN_SCOPE):
            continue
        inside = in_loop or isinstance(node, ast.For | ast.AsyncFor | ast.While)
        children = [
            child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)
        ]
        stack += [(child, inside) for child in reversed(children)]
