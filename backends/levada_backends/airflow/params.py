"""A pipeline's parameters as Airflow's."""

from __future__ import annotations

import json

from levada_compiler.program import forms

from .source_text import CallText, DictText, Text, call, literal, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from levada_compiler.program.ir import Parameter


def params(parameters: Iterable[Parameter]) -> DictText:
    """The ``params`` of the DAG."""
    return DictText(tuple((string(p.name), _param(p)) for p in parameters))


def _param(parameter: Parameter) -> CallText:
    positional: tuple[Text, ...] = ()
    if parameter.default is not None:
        positional = (literal(json.loads(parameter.default)),)
    form = forms.of_parameter(parameter)
    keywords = {name: literal(value) for name, value in for_a_form(forms.schema(form)).items()}
    if description := forms.described(form, parameter.description):
        keywords["description"] = string(description)
    return call("Param", *positional, **keywords)


def for_a_form(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its types in one list: Airflow's form looks at no other place.

    That is `["null", "integer"]` for `int | None`, and the type of an enumeration's values.
    """
    flat: dict[str, Any] = _without_formats(schema)
    if choices := _choices(flat.get("anyOf", [])):
        # With null among the choices, the form of Airflow 2 would send the text "None".
        kinds = sorted({_JSON_TYPES[type(value)] for value in choices})
        return {"type": [*kinds, "null"], "examples": choices, **flat}
    if side := _only_other_than_null(flat.get("anyOf", [])):
        flat = {**side, "type": [side["type"], "null"]}
    elif "anyOf" in flat and (members := _types(flat["anyOf"])):
        flat = {"type": members, **{n: v for n, v in flat.items() if n != "anyOf"}}
    if "enum" in flat and "type" not in flat:
        kinds = sorted({_JSON_TYPES[type(value)] for value in flat["enum"]})
        flat = {"type": kinds[0] if len(kinds) == 1 else kinds, **flat}
    return flat


#: Formats that Airflow reads more strictly than Python: with a time zone, by the letter.
_STRICT = ("date-time", "duration", "time")


def _without_formats(schema: Any) -> Any:
    """Return a schema without the formats that Airflow would refuse Python's own texts by."""
    if isinstance(schema, list):
        return [_without_formats(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {k: v for k, v in schema.items() if k != "format" or v not in _STRICT}
    return {name: _without_formats(value) for name, value in kept.items()}


def _only_other_than_null(alternatives: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one alternative beside null that says more than a type; else an empty schema."""
    others = [each for each in alternatives if each != {"type": "null"}]
    is_one = len(others) == 1 < len(alternatives) and isinstance(others[0].get("type"), str)
    return others[0] if is_one and len(others[0]) > 1 else {}


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def _choices(alternatives: list[dict[str, Any]]) -> list[Any]:
    """The values of alternatives that are nothing but choices, or null: these choices."""
    plain = all(set(each) == {"enum"} or each == {"type": "null"} for each in alternatives)
    return [value for each in alternatives for value in each.get("enum", ())] if plain else []


def _types(alternatives: list[dict[str, Any]]) -> list[str]:
    """The types of alternatives that say nothing but a type, the one of null last."""
    plain = all(set(each) == {"type"} and isinstance(each["type"], str) for each in alternatives)
    found = [each["type"] for each in alternatives] if plain else []
    return sorted(found, key=lambda kind: kind == "null")
