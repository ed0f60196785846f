"""A pipeline's parameters as Airflow's."""

from __future__ import annotations

import json

from levada_compiler.types import json_schema

from .source_text import CallText, DictText, Text, call, literal, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from levada_compiler.ir import Parameter


def params(parameters: Iterable[Parameter]) -> DictText:
    """The ``params`` of the DAG."""
    return DictText(tuple((string(p.name), _param(p)) for p in parameters))


def _param(parameter: Parameter) -> CallText:
    positional: tuple[Text, ...] = ()
    if parameter.default is not None:
        positional = (literal(json.loads(parameter.default)),)
    keywords: dict[str, Text] = {}
    schema: dict[str, Any] = json_schema(parameter.type)
    odd = {name: value for name, value in schema.items() if not name.isidentifier()}
    for name, value in schema.items():
        if name not in odd:
            keywords[name] = literal(value)
    if parameter.description:
        keywords["description"] = string(parameter.description)
    text = call("Param", *positional, **keywords)
    return text if not odd else CallText("Param", (*positional, *_rest(odd)), text.keywords)


def _rest(schema: dict[str, Any]) -> tuple[Text, ...]:
    raise ValueError(f"a schema that Airflow's Param cannot hold: {sorted(schema)}")
