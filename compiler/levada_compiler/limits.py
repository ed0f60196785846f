"""The limits of a parameter, as its annotation has them: ``Annotated[int, Field(ge=1, le=10)]``.

Those of ``annotated_types`` and of pydantic's ``Field``, as keywords of JSON Schema. Metadata that
says something else is left alone, as Python leaves it.
"""

from __future__ import annotations

import ast
import json

from .constants import NotConstantError
from .types import json_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .constants import Folder
    from .ir import Parameter

    Qualified = Callable[[str], str | None]

_NUMBERS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_LENGTHS = {"min_length": "min", "max_length": "max"}
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
    return found


def _metadata(annotation: ast.expr | None, qualified: Qualified) -> Iterator[ast.Call]:
    """The calls in ``Annotated[…]``, also where it is one side of ``… | None``."""
    match annotation:
        case ast.Constant(value=str() as text):
            try:
                yield from _metadata(ast.parse(text, mode="eval").body, qualified)
            except SyntaxError:
                return
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _metadata(left, qualified)
            yield from _metadata(right, qualified)
        case ast.Subscript(value=owner, slice=ast.Tuple(elts=items)):
            name = qualified(ast.unparse(owner)) or ""
            if name in ("typing.Annotated", "typing_extensions.Annotated"):
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
    found: dict[str, Any] = json_schema(parameter.type)
    limits = json.loads(parameter.limits) if parameter.limits else {}
    kind = parameter.type
    members = kind.arguments if kind.name == "union" else (kind,)
    unit = "Length" if any(member.name == "str" for member in members) else "Items"
    for name, value in limits.items():
        if name in _LENGTHS:
            found[_LENGTHS[name] + unit] = value
        else:
            found[_NUMBERS.get(name, name)] = value
    return found
