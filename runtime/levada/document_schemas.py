"""Whether a document of the store is as its published schema says (``levada/schemas``).

Whoever can write to the store can leave any JSON there. A document that does not fit is as good as
one that is not whole: nothing in it is used. A field that the schema does not name is no fault, for
a newer version may have written it.
"""

from __future__ import annotations

import json
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from levada.json_types import Json

_FOLDER = os.path.join(os.path.dirname(__file__), "schemas")
_REFERENCE = re.compile(r"(?:urn:levada:(\w+):\d+)?#(/.*)?")
_read: dict[str, Any] = {}

_TYPES: dict[str, Callable[[object], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def fits(document: Json, name: str) -> bool:
    """Whether a document is one of the schema ``name``: ``record``, or ``record#/$defs/git``.

    The schemas are of JSON Schema 2020-12, of which the words in `_RULES` and `type`, `enum`,
    `anyOf`, `oneOf` and `$ref` are understood.
    """
    own, _, pointer = name.partition("#")
    try:
        return _fits(document, _found(own, pointer), own)
    except RecursionError:
        return False


def _schema(name: str) -> Any:
    if name not in _read:
        with open(f"{_FOLDER}/{name}.json", "rb") as file:
            _read[name] = json.load(file)
    return _read[name]


def _found(name: str, pointer: str) -> Any:
    found = _schema(name)
    for part in pointer.strip("/").split("/") if pointer else ():
        found = found[part]
    return found


def _fits(value: Any, schema: Any, own: str) -> bool:
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        match = _REFERENCE.fullmatch(schema["$ref"])
        if match is None:
            raise ValueError(f"not a reference within the schemas: {schema['$ref']}")
        own = match[1] or own
        return _fits(value, _found(own, match[2] or ""), own)
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices and not any(_fits(value, choice, own) for choice in choices):
        return False
    return all(rule(value, schema, own) for name, rule in _RULES.items() if name in schema)


def _fits_fields(value: Any, schema: Any, own: str) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema["properties"]
    return all(_fits(value[name], known[name], own) for name in known if name in value)


def _fits_others(value: Any, schema: Any, own: str) -> bool:
    others, known = schema["additionalProperties"], schema.get("properties", {})
    if not isinstance(value, dict) or not isinstance(others, dict):
        return True
    return all(_fits(item, others, own) for name, item in value.items() if name not in known)


def _fits_items(value: Any, schema: Any, own: str) -> bool:
    rest = value[len(schema.get("prefixItems", ())) :] if isinstance(value, list) else ()
    return all(_fits(item, schema["items"], own) for item in rest)


def _fits_first_items(value: Any, schema: Any, own: str) -> bool:
    pairs = zip(value, schema["prefixItems"], strict=False) if isinstance(value, list) else ()
    return all(_fits(item, each, own) for item, each in pairs)


#: Words of a schema that are about values of one type, and hold for all others.
_RULES: dict[str, Callable[[Any, Any, str], bool]] = {
    "required": lambda value, schema, _: (
        not isinstance(value, dict) or all(name in value for name in schema["required"])
    ),
    "properties": _fits_fields,
    "additionalProperties": _fits_others,
    "propertyNames": lambda value, schema, own: (
        not isinstance(value, dict)
        or all(_fits(name, schema["propertyNames"], own) for name in value)
    ),
    "items": _fits_items,
    "prefixItems": _fits_first_items,
    "minItems": lambda value, schema, _: (
        not isinstance(value, list) or len(value) >= schema["minItems"]
    ),
    "minimum": lambda value, schema, _: not _TYPES["number"](value) or value >= schema["minimum"],
    "maximum": lambda value, schema, _: not _TYPES["number"](value) or value <= schema["maximum"],
    "pattern": lambda value, schema, _: (
        not isinstance(value, str) or re.search(schema["pattern"], value) is not None
    ),
}
