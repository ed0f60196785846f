"""Parameters of a run from the driver's environment."""

from __future__ import annotations

import re
from typing import Any

import pytest
from levada.driver import parameters
from levada.engine import ParameterError

NUMBER = {"name": "rate", "type": "float", "schema": {"type": "number"}, "default": 0.5}
TEXT = {"name": "path", "type": "str", "schema": {"type": "string"}, "default": "x"}
MAYBE = {
    "name": "note",
    "type": "str | None",
    "schema": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "default": None,
}
NUMBERS = {
    "name": "sizes",
    "type": "list[int]",
    "schema": {"type": "array", "items": {"type": "integer"}},
    "default": [],
}
UNTIL = {
    "name": "until",
    "type": "date | None",
    "schema": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    "default": None,
}
LAYER = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}
CONFIG = {
    "name": "config",
    "type": "Config",
    "schema": {
        "type": "object",
        "properties": {"layers": {"type": "array", "items": LAYER}},
        "additionalProperties": False,
    },
    "default": {},
}
DECLARED = [{**one, "required": False} for one in (NUMBER, TEXT, MAYBE, NUMBERS, UNTIL, CONFIG)]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"rate": 0.5, "path": "x", "note": None, "sizes": []}),
        ({"P_rate": "0.1"}, {"rate": 0.1}),
        ({"P_path": "0.1"}, {"path": "0.1"}),
        ({"P_path": '"quoted"'}, {"path": '"quoted"'}),
        ({"P_path": "null"}, {"path": "null"}),
        ({"P_path": "$(HOME) {{ ds }}"}, {"path": "$(HOME) {{ ds }}"}),
        ({"P_note": "null"}, {"note": None}),
        ({"P_note": "text"}, {"note": "text"}),
        ({"P_note": "12"}, {"note": "12"}),
        ({"P_sizes": "[1, 2]"}, {"sizes": [1, 2]}),
        ({"P_until": "2025-01-31"}, {"until": "2025-01-31"}),
        ({"P_config": '{"layers": [{"size": 1}]}'}, {"config": {"layers": [{"size": 1}]}}),
        ({"LEVADA_PARAMS": '{"rate": 2, "path": "y"}'}, {"rate": 2, "path": "y"}),
        ({"LEVADA_PARAMS": '{"rate": 2}', "P_rate": "3"}, {"rate": 3}),
    ],
)
def test_read(variables: dict[str, str], expected: dict[str, Any]) -> None:
    found = parameters.read(DECLARED, variables)
    assert found | expected == found


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"P_rat": "1"}, "there is no parameter `rat`; did you mean `rate`?"),
        ({"P_rate": "fast"}, "the parameter `rate` takes float, not"),
        ({"P_sizes": '["a"]'}, "the parameter `sizes` takes list[int]"),
        ({"P_until": "2025-02-30"}, "`until` takes date | None, not"),
        ({"P_config": '{"layers": [{"size": 0}]}'}, "`config.layers[0].size` is 0: it is less"),
        ({"LEVADA_PARAMS": "{"}, "LEVADA_PARAMS is not JSON"),
        ({"LEVADA_PARAMS": "[1]"}, "LEVADA_PARAMS is a JSON object"),
    ],
)
def test_what_cannot_be(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(said)):
        parameters.read(DECLARED, variables)
