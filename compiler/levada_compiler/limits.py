"""The limits of a parameter, as its annotation has them: ``Annotated[int, Field(ge=1, le=10)]``.

Those of ``annotated_types`` and of pydantic's ``Field``, as keywords of JSON Schema; also of what
is in a list: ``list[Annotated[int, Field(ge=1)]]``. Metadata that says something else is left
alone, as Python leaves it.
"""

from __future__ import annotations

import ast
import json

from .constants import NotConstantError
from .types import element, json_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .constants import Folder
    from .ir import Parameter, Type

    Qualified = Callable[[str], str | None]

_NUMBERS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_LENGTHS = {"min_length": "min", "max_length": "max"}
_ANNOTATED = ("typing.Annotated", "typing_extensions.Annotated")
#: Where the limits of what is in a list stand among its own.
_ITEMS = "items"
#: The parameters of what is called, in order; pydantic's Field takes all by name.
_CALLED = {
    "annotated_types.Ge": ("ge",),
    "annotated_types.Gt": ("gt",),
    "annotated_types.Le": ("le",),
    "annotated_types.Lt": ("lt",),
    "annotated_types.Interval": (),
    "annotated_types.MultipleOf": ("multiple_of",),
    "annotated_types.MinLen": ("min_length",),
    "annotated_types.MaxLen": ("max_length",),
    "annotated_types.Len": ("min_length", "max_length"),
    "pydantic.Field": (),
    "pydantic.fields.Field": (),
}


def read(annotation: ast.expr | None, qualified: Qualified, folder: Folder) -> dict[str, Any]:
    """The limits in an annotation, by the names that they have in the source."""
    found: dict[str, Any] = {}
    for node in _metadata(annotation, qualified):
        name = qualified(ast.unparse(node.func)) or ""
        if name not in _CALLED:
            continue
        given = dict(zip(_CALLED[name], node.args, strict=False))
        given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        for limit, value in given.items():
            if limit in _NUMBERS or limit in _LENGTHS or limit == "pattern":
                found |= _folded(limit, value, folder)
    item = _of_items(annotation, qualified)
    if item is not None and (inside := read(item, qualified, folder)):
        found[_ITEMS] = inside
    return found


def _of_items(annotation: ast.expr | None, qualified: Qualified) -> ast.expr | None:
    """The annotation of what is in a list, also where that is one side of ``… | None``."""
    match annotation:
        case ast.Constant(value=str() as text):
            return _of_items(_parsed(text), qualified)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _of_items(left, qualified) or _of_items(right, qualified)
        case ast.Subscript(value=owner, slice=ast.Tuple(elts=[first, *_])):
            annotated = (qualified(ast.unparse(owner)) or "") in _ANNOTATED
            return _of_items(first, qualified) if annotated else None
        case ast.Subscript(value=owner, slice=inner):
            optional = (qualified(ast.unparse(owner)) or "") == "typing.Optional"
            return _of_items(inner, qualified) if optional else inner
    return None


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def _metadata(annotation: ast.expr | None, qualified: Qualified) -> Iterator[ast.Call]:
    """The calls in ``Annotated[…]``, also where it is one side of ``… | None``."""
    match annotation:
        case ast.Constant(value=str() as text):
            yield from _metadata(_parsed(text), qualified)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _metadata(left, qualified)
            yield from _metadata(right, qualified)
        case ast.Subscript(value=owner, slice=ast.Tuple(elts=items)):
            name = qualified(ast.unparse(owner)) or ""
            if name in _ANNOTATED:
                yield from (item for item in items[1:] if isinstance(item, ast.Call))
        case ast.Subscript(value=owner, slice=inner):
            if (qualified(ast.unparse(owner)) or "") == "typing.Optional":
                yield from _metadata(inner, qualified)


def _folded(limit: str, node: ast.expr, folder: Folder) -> dict[str, Any]:
    try:
        value = folder.fold(node)
    except NotConstantError:  # it says nothing that is known before the run
        return {}
    if limit == "pattern":
        return {limit: value} if _is_pattern(value) else {}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {limit: value} if is_number else {}


def _is_pattern(value: object) -> bool:
    import re

    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


def schema(parameter: Parameter) -> dict[str, Any]:
    """The JSON Schema of a parameter: of its type, with its limits."""
    limits = json.loads(parameter.limits) if parameter.limits else {}
    return _limited(json_schema(parameter.type), parameter.type, limits)


def _limited(found: dict[str, Any], kind: Type, limits: dict[str, Any]) -> dict[str, Any]:
    members = kind.arguments if kind.name == "union" else (kind,)
    unit = "Length" if any(member.name == "str" for member in members) else "Items"
    for name, value in limits.items():
        if name == _ITEMS:
            for member, part in zip(members, found.get("anyOf", [found]), strict=True):
                if _ITEMS in part:
                    part[_ITEMS] = _limited(part[_ITEMS], element(member), value)
        elif name in _LENGTHS:
            found[_LENGTHS[name] + unit] = value
        else:
            found[_NUMBERS.get(name, name)] = value
    return found
