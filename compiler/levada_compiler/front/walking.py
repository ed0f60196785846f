"""All nodes within some syntax, twice as fast as ``ast.walk`` gives them."""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all within it, in no order that anyone should rely on.

    >>> sorted(type(each).__name__ for each in walk(ast.parse("f(x)", mode="eval").body))
    ['Call', 'Load', 'Load', 'Name', 'Name']
    """
    is_node, pending = ast.AST, [node]
    while pending:
        found = pending.pop()
        yield found
        for name in found._fields:
            value = getattr(found, name, None)
            if value.__class__ is list:
                pending += [item for item in value if isinstance(item, is_node)]
            elif isinstance(value, is_node):
                pending.append(value)
