"""What the JSON values of a pipeline's parameters are like: forms, and the JSON Schema of each.

``levada.forms`` says what a form is. Here a form may also be limited: ``{"limited": form,
"limits": {keyword of JSON Schema: value}}``. All that a target shows or checks of a parameter
follows from its form.
"""

from __future__ import annotations

import json

from levada.forms import CLASSES, EXPECTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from levada.forms import Form

    from .ir import Parameter, Type

_SCALARS: Final = {
    "None": "null",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "string",
}
#: Forms that are a text in JSON, with what their schema says of it.
TEXTS: Final[dict[str, dict[str, Any]]] = {
    "bytes": {"contentEncoding": "base64"},
    "date": {"format": "date"},
    "datetime": {"format": "date-time"},
    "time": {"format": "time"},
    "timedelta": {"format": "duration"},
    "Decimal": {"format": "decimal"},
    "UUID": {"format": "uuid"},
    "Path": {},
}
_LISTS: Final = ("list", "set", "frozenset", "tuple")
_ABSTRACT_LISTS: Final = ("Iterable", "Collection", "Reversible", "Sequence", "MutableSequence")
_ABSTRACT_DICTS: Final = ("Mapping", "MutableMapping")
#: The names of JSON's numbers, texts and so on of which a key of a dict can be made.
KEYS: Final = ("str", "int", "float", "date", "datetime", "time", "Decimal", "UUID", "Path")


def of_parameter(parameter: Parameter) -> Form:
    """Return the form of a parameter: its own, else what its type says."""
    found: Form = json.loads(parameter.form) if parameter.form else _of_plain(parameter.type)
    return found


def _of_plain(kind: Type) -> Form:
    """Return the form of a type whose values are JSON's own, or of an enumeration."""
    if kind.values:
        return {"literal": [json.loads(value) for value in kind.values]}
    if kind.name == "union":
        return ["union", *map(_of_plain, kind.arguments)]
    if kind.name in _SCALARS:
        return kind.name
    name = container(kind.name)
    if name == "list":
        return ["list", *(map(_of_plain, kind.arguments) if kind.arguments else ("any",))]
    if name == "dict":
        return ["dict", "str", _of_plain(kind.arguments[1]) if len(kind.arguments) > 1 else "any"]
    return "any"


def container(name: str) -> str | None:
    """Return which container of JSON's values a type is, by its name; None for all others."""
    package, _, last = name.rpartition(".")
    if name in (*_LISTS, "dict"):
        return name
    if package != "collections.abc":
        return None
    if last in ("Set", "MutableSet"):
        return "set"
    return "list" if last in _ABSTRACT_LISTS else "dict" if last in _ABSTRACT_DICTS else None


def unlimited(form: Form) -> Form:
    """Return a form without its limits, as the runtime has it."""
    if isinstance(form, str):
        return form
    if isinstance(form, list):
        return [unlimited(part) for part in form]
    if "limited" in form:
        return unlimited(form["limited"])
    if "fields" not in form:
        return form
    return {**form, "fields": {name: unlimited(each) for name, each in form["fields"].items()}}


def is_plain(form: Form) -> bool:
    """Return whether the JSON value is what a step is given."""
    if isinstance(form, str):
        return form == "any" or form in _SCALARS
    if isinstance(form, dict):
        if "limited" in form:
            return is_plain(form["limited"])
        return "literal" in form or (
            "typeddict" in form and all(map(is_plain, form["fields"].values()))
        )
    kind, *parts = form
    if kind == "dict" and unlimited(parts[0]) not in ("str", "any"):
        return False
    return kind in ("list", "dict", "union") and all(map(is_plain, parts))


def classes(form: Form) -> set[str]:
    """Return the classes of the project (``module:Class``) whose values a form makes."""
    if isinstance(form, str):
        return set()
    if isinstance(form, list):
        return set().union(*map(classes, form))
    if "limited" in form:
        return classes(form["limited"])
    own = {form[kind] for kind in ("enum", *CLASSES) if kind in form and kind != "typeddict"}
    return own.union(*map(classes, form.get("fields", {}).values()))


def described(form: Form, description: str) -> str:
    """Return a parameter's description with how its text is written, where that is not plain."""
    plain = unlimited(form)
    if not isinstance(plain, str) or plain not in TEXTS or not TEXTS[plain]:
        return description
    return ": ".join(each for each in (description.rstrip("."), EXPECTED[plain]) if each)


def schema(form: Form) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the JSON values of a form.

    >>> schema(["list", "date"])
    {'type': 'array', 'items': {'type': 'string', 'format': 'date'}}
    """
    if isinstance(form, str):
        if form in _SCALARS:
            return {"type": _SCALARS[form]}
        return {"type": "string", **TEXTS[form]} if form in TEXTS else {}
    if isinstance(form, dict):
        return _schema_of_class(form)
    kind, *parts = form
    if kind == "union":
        return {"anyOf": [schema(part) for part in parts]}
    if kind == "dict":
        return _schema_of_dict(*parts)
    return _schema_of_list(str(kind), parts)


def _schema_of_class(form: dict[str, Any]) -> dict[str, Any]:
    if "limited" in form:
        return {**schema(form["limited"]), **form["limits"]}
    if "literal" in form:
        return {"enum": form["literal"]}
    if "enum" in form:
        return {"enum": list(form["members"].values())}
    defaults = form.get("defaults", {})
    properties = {
        name: schema(each) | ({"default": defaults[name]} if name in defaults else {})
        for name, each in form["fields"].items()
    }
    left_out = {*defaults, *form.get("optional", ())}
    required = [name for name in properties if name not in left_out]
    found = {"type": "object", "properties": properties}
    return found | ({"required": required} if required else {}) | {"additionalProperties": False}


def _schema_of_dict(key: Form, value: Form) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object"}
    if key != "str":
        found["propertyNames"] = _schema_of_key(unlimited(key))
    of_values = schema(value)
    return found | ({"additionalProperties": of_values} if of_values else {})


def _schema_of_key(key: Form) -> dict[str, Any]:
    if key == "int":
        return {"pattern": r"^[-+]?[0-9]+$"}
    if key == "float":
        return {"format": "decimal"}
    found = schema(key)
    return {"enum": [str(each) for each in found["enum"]]} if "enum" in found else found


def _schema_of_list(kind: str, parts: list[Form]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "array"}
    if kind == "tuple" and parts[1:] != ["..."]:
        count = len(parts)
        items = [schema(part) for part in parts]
        return found | {"prefixItems": items, "minItems": count, "maxItems": count}
    if items_schema := schema(parts[0]):
        found["items"] = items_schema
    return found | ({"uniqueItems": True} if kind in ("set", "frozenset") else {})


def is_form(text: str) -> bool:
    """Return whether a text is that of a form: nothing else can be converted or described."""
    try:
        return _is_form(json.loads(text))
    except (ValueError, RecursionError):
        return False


def _is_form(form: object) -> bool:
    if isinstance(form, str):
        return form == "any" or form in _SCALARS or form in TEXTS
    if isinstance(form, list):
        kind, *parts = form or [None]
        if kind == "tuple" and parts[1:] == ["..."]:
            parts = parts[:1]
        counts = {"list": 1, "set": 1, "frozenset": 1, "dict": 2}
        known = kind in ("tuple", "union") or (kind in counts and len(parts) == counts[kind])
        return known and all(map(_is_form, parts))
    if not isinstance(form, dict):
        return False
    if "limited" in form:
        return isinstance(form.get("limits"), dict) and _is_form(form["limited"])
    if "literal" in form:
        return isinstance(form["literal"], list)
    if "enum" in form:
        return isinstance(form["enum"], str) and isinstance(form.get("members"), dict)
    fields = form.get("fields")
    return isinstance(fields, dict) and all(map(_is_form, fields.values()))
