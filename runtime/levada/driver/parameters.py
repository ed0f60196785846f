"""The parameters of a run, from the environment of its driver.

``P_<name>`` has one, as text: JSON, or the text itself where the parameter is a string.
``LEVADA_PARAMS`` has several as a JSON object.
"""

from __future__ import annotations

import json

from levada.engine import ParameterError
from levada.engine.parameters import resolve, typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada.plan_types import PlanParameter

PREFIX = "P_"


def read(declared: list[PlanParameter], variables: Mapping[str, str]) -> dict[str, object]:
    """The value of each parameter, or its default. Raises ParameterError."""
    given = _object(variables.get("LEVADA_PARAMS") or "{}")
    by_name = {parameter["name"]: parameter for parameter in declared}
    for variable, text in variables.items():
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX)
            parameter = by_name.get(name)
            given[name] = text if parameter is None else _value(parameter, text)
    return resolve(declared, given)


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ParameterError([f"LEVADA_PARAMS is not JSON: {error}"]) from None
    if not isinstance(found, dict):
        raise ParameterError([f"LEVADA_PARAMS is a JSON object, not {text[:80]}"])
    return found


def _value(parameter: PlanParameter, text: str) -> object:
    """What the text says: a string is itself, unless only JSON fits (``null``, a number)."""
    if parameter["schema"].get("type") == "string":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    try:
        resolve([parameter], {parameter["name"]: value})
    except ParameterError:
        return text if _takes_text(parameter, text) else value
    return typed(value, parameter["schema"])


def _takes_text(parameter: PlanParameter, text: str) -> bool:
    try:
        resolve([parameter], {parameter["name"]: text})
    except ParameterError:
        return False
    return True
