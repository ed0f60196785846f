"""The form of a parameter: how a value of its type is written in JSON (``levada.forms``).

Classes are read without importing them: dataclasses, named tuples, pydantic models, TypedDicts and
enumerations of the project, at any depth. What cannot be told from JSON is an error here.
"""

from __future__ import annotations

import json

from levada.operations import TooLargeError

from ..program import forms
from . import constants, instances, limits, types
from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from typing import Any, Final

    from levada.forms import Form

    from ..program.ir import Type
    from .declare import Declarations

_TEXTS: Final = {
    "bytes": "bytes",
    "datetime.date": "date",
    "datetime.datetime": "datetime",
    "datetime.time": "time",
    "datetime.timedelta": "timedelta",
    "decimal.Decimal": "Decimal",
    "uuid.UUID": "UUID",
    "pathlib.Path": "Path",
    "pydantic.FilePath": "Path",
    "pydantic.DirectoryPath": "Path",
}
#: Types of pydantic that are a plain one with limits.
_LIMITED: Final[dict[str, tuple[str, dict[str, int]]]] = {
    **{f"pydantic.Strict{n.title()}": (n, {}) for n in ("int", "float", "str", "bool")},
    **{
        f"pydantic.{sign}{kind.title()}": (kind, {limit: 0})
        for kind in ("int", "float")
        for sign, limit in {
            "Positive": "gt",
            "NonNegative": "ge",
            "Negative": "lt",
            "NonPositive": "le",
        }.items()
    },
}
_WHAT_TO_WRITE: Final = (
    "use a type that JSON can say: numbers, texts, lists, dicts, dates, `Path`, `Decimal`, enums, "
    "dataclasses, named tuples, TypedDicts, pydantic models"
)
_OWN_INIT: Final = ("__init__", "__new__")


class ParameterTypeError(Exception):
    """A type whose values cannot be read from JSON: why, and what to write instead."""

    def __init__(self, why: str, way_out: str = _WHAT_TO_WRITE) -> None:
        super().__init__(why)
        self.why = why
        self.way_out = way_out


_MOST_PARTS: Final = 5_000
_PRICE: Final = 20  #: of a part of a form, in steps of a budget


class FormReader:
    """Reads the forms of types, with the classes in them."""

    def __init__(self, declarations: Declarations) -> None:
        self._declarations = declarations
        self._modules = declarations.modules
        self._active: list[str] = []
        self._parts = 0  # of the form that is read

    def parameter(self, module: m.Module, kind: Type, annotation: ast.expr | None) -> Form:
        """Return the form of a parameter. Raises ParameterTypeError."""
        self._parts = 0
        return self._annotated(module, kind, annotation, None)

    def _annotated(
        self,
        module: m.Module,
        kind: Type,
        annotation: ast.expr | None,
        default: ast.expr | None,
    ) -> Form:
        folder = constants.Folder(self._modules, module)

        def qualified(dotted: str) -> str | None:
            return self._modules.qualified(module, dotted)

        found = limits.read(annotation, qualified, folder)
        return self.form(kind, found | limits.of_field(default, qualified, folder))

    def form(self, kind: Type, found: dict[str, Any]) -> Form:
        """Return the form of a type with its limits. Raises ParameterTypeError."""
        self._parts += 1
        try:
            self._modules.budget.spend(_PRICE)
        except TooLargeError:
            raise ParameterTypeError(
                "the types of the parameters of this file's pipelines have too many parts in all",
                "let a step make the value, or move pipelines to another file",
            ) from None
        if self._parts > _MOST_PARTS:  # a class that holds another one twice doubles its form
            raise ParameterTypeError(
                f"a type of more than {_MOST_PARTS:,} parts is too large for a parameter",
                "let a step make the value",
            )
        return limits.limited(self._form(kind, found.get(limits.ITEMS, {})), found)

    def _form(self, kind: Type, of_items: dict[str, Any]) -> Form:
        name = kind.name
        if name in ("any", "None", "bool", "int", "float", "str"):
            return name
        if name == "literal":
            return {"literal": [json.loads(value) for value in kind.values]}
        if name == "union":
            return self._union(kind, of_items)
        if name in _TEXTS:
            return _TEXTS[name]
        if name in _LIMITED:
            base, limit = _LIMITED[name]
            return limits.limited(base, dict(limit))
        container = forms.container(name)
        if container == "dict":
            return self._dict(kind, of_items)
        if container is not None:
            return self._list(container, kind, of_items)
        if ":" in name:
            return self._class(kind)
        raise ParameterTypeError(f"values of `{types.text(kind)}` cannot be written in JSON")

    def _list(self, name: str, kind: Type, of_items: dict[str, Any]) -> Form:
        parts = kind.arguments
        if name == "tuple" and parts and types.ELLIPSIS not in parts:
            return ["tuple", *[self.form(part, {}) for part in parts]]
        item = self.form(parts[0], of_items) if parts else "any"
        return [name, item, "..."] if name == "tuple" else [name, item]

    def _dict(self, kind: Type, of_items: dict[str, Any]) -> Form:
        key, value = kind.arguments if len(kind.arguments) == 2 else (types.ANY, types.ANY)
        form = "str" if key.name == "any" else self.form(key, {})
        plain = forms.unlimited(form)
        if plain not in forms.KEYS and not (isinstance(plain, dict) and "fields" not in plain):
            text = types.text(key)
            raise ParameterTypeError(
                f"a key of JSON is a text, of which no `{text}` can be made",
                "use a list of pairs: `list[tuple[…, …]]`",
            )
        return ["dict", form, self.form(value, of_items)]

    # -- unions

    def _union(self, kind: Type, of_items: dict[str, Any]) -> Form:
        sides = [self._form(each, of_items) for each in kind.arguments]
        for i, one in enumerate(sides):
            for j in range(i + 1, len(sides)):
                if not _are_told_apart(one, sides[j]):
                    first, other = (types.text(kind.arguments[at]) for at in (i, j))
                    raise ParameterTypeError(
                        f"JSON cannot tell `{first}` and `{other}` apart",
                        "take one of them; or give each model a field of its own `Literal[…]`",
                    )
        return ["union", *sides]

    # -- classes

    def _class(self, kind: Type) -> Form:
        declarations = self._declarations
        found = declarations.enumeration(kind.name)
        if found is not None:
            if found.problem:
                raise ParameterTypeError(
                    f"the members of `{types.text(kind)}` are not known: {found.problem}",
                    "take their values",
                )
            return {"enum": kind.name, "members": dict(found.members)}
        definition = declarations.definition(kind.name)
        name = kind.name.partition(":")[2]
        if definition is None:
            raise ParameterTypeError(f"the class `{name}` cannot be read")
        if kind.name in self._active:
            raise ParameterTypeError(f"`{name}` refers to itself", "limit how deep it is nested")
        shape = declarations.constructor(definition)
        if shape is None:
            raise ParameterTypeError(
                f"`{name}` is no class of fields, so nothing says how to make one from JSON",
                f"make `{name}` a dataclass, or a pydantic model",
            )
        if own := declarations.method_of(definition, _OWN_INIT):
            raise ParameterTypeError(
                f"`{name}` has an `{own}` of its own, so nothing says how to make one from JSON",
                "let the fields say it; a `__post_init__` may check or complete them",
            )
        self._active.append(kind.name)
        try:
            return self._of_fields(definition, "made" if shape.runs_code else shape.kind)
        finally:
            self._active.pop()

    def _of_fields(self, definition: m.Class, kind: str) -> Form:
        declarations = self._declarations
        fields: dict[str, Form] = {}
        defaults: dict[str, Any] = {}
        optional: list[str] = []
        for field in declarations.class_fields(definition):
            where = f"the field `{field.name}` of `{definition.node.name}`"
            if field.problem:
                raise ParameterTypeError(f"{where} {field.problem}", field.way_out)
            if not field.is_given:
                kind = "made"
                continue
            module = field.owner.module
            type_ = declarations.annotation(module, field.node.annotation)
            try:
                fields[field.name] = self._annotated(
                    module, type_, field.node.annotation, field.node.value
                )
            except ParameterTypeError as error:
                raise ParameterTypeError(f"{where}: {error.why}", error.way_out) from None
            if field.default is None:
                continue
            known = _written(field.default)
            if known is not None:
                defaults[field.name] = known[0]
            else:  # the class itself knows it
                optional.append(field.name)
                kind = "typeddict" if kind == "typeddict" else "made"
        form = {kind: definition.key, "fields": fields}
        form |= {"defaults": defaults} if defaults else {}
        return form | ({"optional": optional} if optional else {})


def _written(default: tuple[object] | tuple[()]) -> tuple[object] | None:
    """Return what JSON has for a field's default as a tuple of one; None where it has nothing."""
    try:
        return (instances.as_json(default[0]),) if default else None
    except (TypeError, ValueError):
        return None


def _are_told_apart(one: Form, other: Form) -> bool:
    """Return whether no JSON value can be of both, or it would be the same value."""
    one, other = forms.unlimited(one), forms.unlimited(other)
    if forms.is_plain(one) and forms.is_plain(other) and "any" not in (one, other):
        return True
    first, second = (_kinds(each) for each in (one, other))
    if not first & second:
        return True
    return _have_other_literals(one, other)


def _kinds(form: Form) -> set[str]:
    """Return the kinds of JSON values that a form may be."""
    found = forms.schema(form)
    if "anyOf" in found and isinstance(form, list):
        return set().union(*map(_kinds, form[1:]))
    if "enum" in found:
        return {_kind_of(value) for value in found["enum"]}
    if "type" not in found:
        return {"null", "boolean", "number", "string", "array", "object"}
    return {"number" if found["type"] == "integer" else found["type"]}


def _kind_of(value: object) -> str:
    kinds = {type(None): "null", bool: "boolean", str: "string"}
    return kinds.get(type(value), "number")


def _have_other_literals(one: Form, other: Form) -> bool:
    """Return whether a field that both have, a ``Literal``, has other values in each."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    mine, others = one.get("fields", {}), other.get("fields", {})
    for name, form in mine.items():
        counterpart = others.get(name)
        if _is_literal(form) and _is_literal(counterpart):
            texts = {json.dumps(value) for value in form["literal"]}
            if not texts & {json.dumps(value) for value in counterpart["literal"]}:
                return True
    return False


def _is_literal(form: object) -> bool:
    return isinstance(form, dict) and "literal" in form
