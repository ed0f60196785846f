"""The limits of a value, as its annotation has them: ``Annotated[int, Field(ge=1, le=10)]``.

Those of ``annotated_types`` and of pydantic's ``Field``, as keywords of JSON Schema; also of what
is in a list or a dict: ``list[Annotated[int, Field(ge=1)]]``. Metadata that says something else is
left alone, as Python leaves it.
"""

from __future__ import annotations

import ast

from .not_constant import NotConstantError
from .types import unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from levada.forms import Form

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
#: Where the limits of what is in a list or a dict stand among its own.
ITEMS = "items"
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
            items += [each for each in [read(annotated, qualified, folder).get(ITEMS)] if each]
        elif name not in _LITERAL and (item := _item(inner)) is not None:
            items.append(read(item, qualified, folder))
    if items and items[0]:
        found[ITEMS] = items[0]
    return found


def of_field(default: ast.expr | None, qualified: Qualified, folder: Folder) -> dict[str, Any]:
    """The limits that ``Field(…)`` says as the default of a model's field."""
    return {} if default is None else _of_metadata([default], qualified, folder)


def _item(inner: ast.expr) -> ast.expr | None:
    """What is in ``name[…]``: of a dict the values, of a tuple the items of one of any length."""
    if not isinstance(inner, ast.Tuple):
        return inner
    match inner.elts:
        case [item, ast.Constant(value=end)] if end is ...:
            return item
        case [ast.Name(id="str"), value]:
            return value
    return None


def limited(form: Form, limits: dict[str, Any]) -> Form:
    """The form with its own limits, by their names in JSON Schema; those of items are not among."""
    named: dict[str, Any] = {}
    for name, value in limits.items():
        if name in _LENGTHS:
            named[_LENGTHS[name] + _unit(form)] = value
        elif name != ITEMS:
            named[_NUMBERS.get(name, name)] = value
    return {"limited": form, "limits": named} if named else form


def _unit(form: Form) -> str:
    sides = form[1:] if isinstance(form, list) and form[0] == "union" else [form]
    kinds = [side[0] if isinstance(side, list) else side for side in sides]
    if "dict" in kinds:
        return "Properties"
    return "Length" if any(isinstance(side, str) and side != "None" for side in sides) else "Items"


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
        return {limit: value} if _is_pattern(value, node, folder) else {}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {limit: value} if is_number else {}


def _is_pattern(value: object, node: ast.expr, folder: Folder) -> bool:
    """Return whether a value is a pattern that Python's `re` compiles; report a text that is not.

    pydantic has patterns in the syntax of Rust, which those of Python mostly are.
    """
    import re

    if not isinstance(value, str):
        return False
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        folder.modules.reports.error(
            "parameter-type",
            folder.module.span(node),
            f"this pattern is not a regular expression: {error}",
            help="correct it until `re.compile` accepts it, or check the text in a step",
        )
        return False
    return True
