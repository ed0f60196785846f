"""Expressions as text: parsed, and what they refer to."""

from __future__ import annotations

from functools import lru_cache

from levada.operations import RESERVED, ExpressionError, TooLargeError
from levada.operations.walker import dotted_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Any, Final

_ONLY_AST: Final = 0x400  # ast.PyCF_ONLY_AST
_COMPREHENSIONS: Final = ("ListComp", "SetComp", "DictComp", "GeneratorExp")

#: Functions whose arguments are names of nodes, or of definitions.
_ABOUT_NODES: Final = ("failed", "raises", "error", "catches")


@lru_cache(maxsize=16_384)
def parse(text: str) -> ast.expr:
    """Return the tree of an expression. Raises ExpressionError if it is not one.

    Raises RecursionError where too little of Python's stack is left for a deep one.
    """
    try:
        tree: Any = compile(text.strip(), "<expression>", "eval", _ONLY_AST, dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError) as error:
        raise ExpressionError(f"`{_short(text)}` is not an expression: {error}") from None
    body: ast.expr = tree.body
    return body


@lru_cache(maxsize=1024)
def parse_target(text: str) -> ast.expr:
    """Return the tree of what a loop binds. Raises ExpressionError if it binds nothing."""
    target = parse(text)
    _check_target(target, text)
    return target


def _check_target(target: Any, text: str) -> None:
    kind = type(target).__name__
    if kind in ("Tuple", "List"):
        for part in target.elts:
            _check_target(part, text)
    elif kind != "Name":
        raise ExpressionError(f"`{_short(text)}` is nothing that a loop can bind")


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "…"


def references(text: str) -> set[str]:
    """Return all names that a text refers to, dotted as written, without those that it binds.

    Functions are not among them; the nodes and guards that ``failed(…)`` asks about are.

    >>> sorted(references("[train[d] + len(best.auc) for d in params.depths]"))
    ['best.auc', 'params.depths', 'train']
    """
    try:
        return set(names_in(text))
    except RecursionError:
        raise TooLargeError("the expression is nested too deep") from None


@lru_cache(maxsize=16_384)
def names_in(text: str) -> frozenset[str]:
    """Return the same. Raises RecursionError where too little of Python's stack is left."""
    found: set[str] = set()
    _collect(parse(text), frozenset(), found)
    return frozenset(found)


def _collect(node: Any, bound: frozenset[str], found: set[str]) -> None:
    kind = type(node).__name__
    parts = dotted_parts(node)
    if parts is not None:
        if parts[0] not in bound and not _is_function(parts):
            found.add(".".join(parts))
    elif kind in _COMPREHENSIONS:
        _collect_comprehension(node, bound, found)
    elif kind == "Lambda":
        _collect(node.body, bound.union(each.arg for each in node.args.args), found)
    elif kind == "Call":
        _collect_call(node, bound, found)
    else:
        _collect_children(node, bound, found)


def _collect_children(node: ast.AST, bound: frozenset[str], found: set[str]) -> None:
    for name in getattr(node, "_fields", ()):
        children = getattr(node, name, None)
        for child in children if isinstance(children, list) else [children]:
            if hasattr(child, "_fields"):
                _collect(child, bound, found)


def _collect_comprehension(node: Any, bound: frozenset[str], found: set[str]) -> None:
    for generator in node.generators:
        _collect(generator.iter, bound, found)
        bound = bound | _names(generator.target)
        for condition in generator.ifs:
            _collect(condition, bound, found)
    for element in ("elt", "key", "value"):
        if hasattr(node, element):
            _collect(getattr(node, element), bound, found)


def _collect_call(node: ast.Call, bound: frozenset[str], found: set[str]) -> None:
    function: Any = node.func
    if getattr(function, "id", None) in _ABOUT_NODES:
        texts = [argument.value for argument in node.args if hasattr(argument, "value")]
        if function.id == "catches":
            del texts[1:]  # they name classes
        found.update(str(text).partition("[")[0].strip() for text in texts)
        return
    parts = dotted_parts(function)
    is_function = parts is not None and parts[0] not in bound and _is_function(parts)
    if type(function).__name__ == "Attribute" and not is_function:
        _collect(function.value, bound, found)
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        _collect(argument, bound, found)


def _is_function(parts: list[str]) -> bool:
    """Whether a dotted name is that of a function, or of a constant of a library."""
    if parts[0] not in RESERVED or parts[0] == "params":
        return False
    from levada.operations import CONSTANTS, named

    name = ".".join(parts)
    return name in CONSTANTS or named(name) is not None


def _names(target: Any) -> frozenset[str]:
    kind = type(target).__name__
    if kind == "Name":
        return frozenset([target.id])
    if kind == "Starred":
        return _names(target.value)
    return frozenset().union(*(_names(part) for part in getattr(target, "elts", ())))
