"""A normal form of syntax: the same text for the same meaning, on every Python version.

Left out are positions, contexts, type comments, and whatever field is empty (a field that a newer
Python added says nothing while it is empty). Docstrings can be left out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Any

_SKIPPED = frozenset(("ctx", "type_comment", "kind", "type_ignores"))
_FUNCTIONS = frozenset(("FunctionDef", "AsyncFunctionDef"))


def dump(node: ast.AST, *, docstrings: bool, decorators: list[ast.expr] | None = None) -> str:
    """Write ``node`` in normal form; ``decorators`` replace those of the definition.

    Without ``docstrings`` that of a plain function is left out, and those of a plain class and
    its methods. What a decorator or a base class might read stays, and so do the docstrings of
    functions within functions, which may be handed to anything.
    """
    out: list[str] = []
    stack: list[Any] = [node]
    bare = () if docstrings else _documented(node)
    while stack:
        item = stack.pop()
        if item.__class__ is str:
            out.append(item)
        elif item.__class__.__name__ == "Constant":
            out.append(_constant(item.value))
        elif item.__class__.__name__ == "Name":  # half of all nodes: what `_open` would write
            out.append(f"(Name id={item.id!a} )")
        else:
            replaced = decorators if item is node else None
            _open(item, stack, is_bare=any(item is each for each in bare), decorators=replaced)
    return "".join(out)


def _documented(node: Any) -> list[object]:
    """Return the definitions in ``node`` whose docstring nothing but ``__doc__`` shows."""
    name = node.__class__.__name__
    if name in _FUNCTIONS:
        return [node]
    if name != "ClassDef" or node.bases or node.keywords:
        return []
    methods = [
        item
        for item in node.body
        if item.__class__.__name__ in _FUNCTIONS and not item.decorator_list
    ]
    return [node, *methods]


def _open(node: Any, stack: list[Any], *, is_bare: bool, decorators: list[ast.expr] | None) -> None:
    """Push what stands for ``node``, in reverse."""
    name = node.__class__.__name__
    stack.append(")")
    for field in reversed(node._fields):
        value: Any = getattr(node, field, None)
        if field == "decorator_list" and decorators is not None:
            value = decorators
        elif field == "body" and is_bare and _is_text(value[0]):
            value = value[1:]
        elif field == "values" and name == "JoinedStr":
            value = _merged(value)
        elif field == "format_spec" and value is not None and not _merged(value.values):
            value = None
        if value is None or value == [] or field in _SKIPPED:
            continue
        _push(stack, value)
        stack.append(f" {field}=")
    stack.append(f"({name}")


def _push(stack: list[object], value: object) -> None:
    if isinstance(value, list):
        stack.append("]")
        # A dict display has None for the key of `**rest`.
        stack.extend("*" if item is None else _leaf(item) for item in reversed(value))
        stack.append("[")
    else:
        stack.append(_leaf(value))


def _leaf(value: object) -> object:
    if isinstance(value, str):
        return f"{value!a} "
    return value if hasattr(value, "_fields") else _constant(value)


def _constant(value: object) -> str:
    """Write a constant; ``ascii`` since what ``repr`` escapes depends on the Unicode version."""
    if value.__class__ is int:
        return f"{value:#x} "  # decimal is refused above 4300 digits
    if isinstance(value, tuple | frozenset):  # never made by a parser, only by an optimiser
        return ascii(sorted(map(_constant, value)))
    return f"{value!a} "


def _is_text(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return statement.__class__.__name__ == "Expr" and isinstance(getattr(value, "value", None), str)


def _merged(values: list[Any]) -> list[object]:
    """Join the adjacent constants of an f-string and drop empty ones."""
    merged: list[object] = []
    text = ""
    for value in values:
        if value.__class__.__name__ == "Constant":
            text += value.value
            continue
        if text:
            merged.append(ascii(text) + " ")
            text = ""
        merged.append(value)
    if text:
        merged.append(ascii(text) + " ")
    return merged
