"""The limits of a parameter, as its annotation has them: ``Annotated[int, Field(ge=1, le=10)]``.

Those of ``annotated_types`` and of pydantic's ``Field``, as keywords of JSON Schema; also of what
is in a list: ``list[Annotated[int, Field(ge=1)]]``. Metadata that says something else is left
alone, as Python leaves it.
"""

from __future__ import annotations

import ast
import json

from .not_constant import NotConstantError
from .types import element, json_schema, unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ..program.ir import Parameter, Type
    from .constants import Folder

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
#: What it holds is text, and no annotation.
_LITERAL = ("typing.Literal", "typing_extensions.Literal")
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
    items: list[dict[str, Any]] = []
    for name, inner in _forms(annotation, qualified):
        if name in _ANNOTATED and isinstance(inner, ast.Tuple):
            annotated, *metadata = inner.elts
            found |= _of_metadata(metadata, qualified, folder)
            items += [each for each in [read(annotated, qualified, folder).get(_ITEMS)] if each]
        elif name not in _LITERAL and not isinstance(inner, ast.Tuple):
            items.append(read(inner, qualified, folder))
    if items and items[0]:
        found[_ITEMS] = items[0]
    return found


def _forms(annotation: ast.expr | None, qualified: Qualified) -> Iterator[tuple[str, ast.expr]]:
    """The name and the inside of each ``name[…]`` that the annotation, or a side of it, is."""
    match unquoted(annotation):
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _forms(left, qualified)
            yield from _forms(right, qualified)
        case ast.Subscript(value=owner, slice=inner):
            name = qualified(ast.unparse(owner)) or ""
            if name == "typing.Optional":
                yield from _forms(inner, qualified)
            else:
                yield name, inner


def _of_metadata(
    metadata: Iterable[ast.expr], qualified: Qualified, folder: Folder
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in metadata:
        if not isinstance(node, ast.Call):
            continue
        name = qualified(ast.unparse(node.func)) or ""
        if name not in _CALLED:
            continue
        given = dict(zip(_CALLED[name], node.args, strict=False))
        given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        for limit, value in given.items():
            if limit in _NUMBERS or limit in _LENGTHS or limit == "pattern":
                found |= _folded(limit, value, folder)
    return found


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
