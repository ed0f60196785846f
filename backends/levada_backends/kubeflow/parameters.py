"""A pipeline's parameters as KFP's, where that loses nothing.

KFP keeps numbers as doubles and objects without an order. A type whose values survive that has a
type of KFP's own; every other one is a string that holds JSON.
"""

from __future__ import annotations

import json

from levada_compiler.program import forms

from .escaping import as_json, is_replaced, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada.forms import Form
    from levada_compiler.program.ir import Parameter

#: KFP's types of the plain ones, and what the runtime makes of their values.
_PLAIN = {"str": "STRING", "bool": "BOOLEAN", "int": "NUMBER_INTEGER", "float": "NUMBER_DOUBLE"}
#: The kinds of values between which one can choose without a loss.
_CHOICES = ({"str"}, {"bool"}, {"int"})
#: The largest integer up to which a double has all of them.
LARGEST_INTEGER = 2**53


def kind(parameter: Parameter) -> str:
    """What the runtime makes of a value: a plain type, ``list[…]`` of one, or ``json``."""
    if is_replaced(parameter.default or "") or any(map(is_replaced, parameter.type.values)):
        return "json"
    return _kind(forms.of_parameter(parameter))


def compared_kind(parameter: Parameter) -> str:
    """The same as conditions see it, for which the member of an enumeration is not its value."""
    is_member = parameter.type.values and parameter.type.name != "literal"
    return "json" if is_member else kind(parameter)


def _kind(form: Form) -> str:
    if isinstance(form, str):
        return "str" if form in forms.TEXTS else form if form in _PLAIN else "json"
    if isinstance(form, dict):
        if "limited" in form:
            return _kind(form["limited"])
        kinds = {type(value).__name__ for value in forms.schema(form).get("enum", ())}
        return kinds.pop() if kinds in _CHOICES else "json"
    if form[0] == "list":
        inner = _kind(form[1])
        return "json" if inner == "json" else f"list[{inner}]"
    return "json"


def kfp_type(parameter: Parameter) -> str:
    """KFP's ``parameterType``."""
    own = kind(parameter)
    return "LIST" if own.startswith("list") else _PLAIN.get(own, "STRING")


def default(parameter: Parameter) -> Any:
    """The default as KFP is given it. There is one."""
    text = parameter.default or "null"
    return as_json(text) if kind(parameter) == "json" else json.loads(text)


def definitions(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """``inputDefinitions.parameters`` of the whole pipeline."""
    return {parameter.name: _definition(parameter) for parameter in parameters}


def _definition(parameter: Parameter) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if parameter.default is not None:
        content["defaultValue"] = default(parameter)
    form = forms.unlimited(forms.of_parameter(parameter))
    description = forms.described(form, parameter.description)
    if kind(parameter) == "json":
        schema = json.dumps(forms.schema(form)) if form != "any" else "any"
        description = f"{description} (JSON: {parameter.type.text or schema})".strip()
    elif parameter.type.values:
        choices = ", ".join(str(json.loads(value)) for value in parameter.type.values)
        description = f"{description} (one of: {choices})".strip()
    if description:
        content["description"] = shown(description)
    if parameter.default is not None:
        content["isOptional"] = True  # else KFP's form starts no run while a field is empty
    return content | {"parameterType": kfp_type(parameter)}


def inexact(value: Any) -> Iterator[int]:
    """The integers in a JSON value that a double does not have."""
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from inexact(item)
