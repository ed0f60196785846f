"""Parameters are checked before anything starts."""

from __future__ import annotations

from typing import Any

import pytest
from levada.engine.parameters import ParameterError, resolve

INT, TEXT = {"type": "integer"}, {"type": "string"}


def declared(schema: Any, kind: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": "depth", "type": kind, "schema": schema, "default": 4, "required": False} | more
    ]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INT, 3),
        (INT, -(2**70)),
        ({"type": "number"}, 3),
        ({"type": "number"}, 0.5),
        ({"type": "boolean"}, True),
        (TEXT, ""),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, None),
        ({"anyOf": [INT, TEXT]}, "x"),
        ({"enum": ["a", 1]}, 1),
        ({"const": "a"}, "a"),
        ({"type": "array", "items": INT}, [1, 2]),
        ({"type": "array", "prefixItems": [INT, TEXT], "items": False}, [1, "a"]),
        ({"type": "object", "additionalProperties": INT}, {"a": 1}),
        ({}, {"any": ["thing"]}),
    ],
)
def test_what_fits(schema: Any, value: Any) -> None:
    assert resolve(declared(schema, ""), {"depth": value}) == {"depth": value}


@pytest.mark.parametrize(
    ("schema", "kind", "value", "problem"),
    [
        (INT, "int", "3", 'the parameter `depth` takes int, not "3"'),
        (INT, "int", True, "the parameter `depth` takes int, not true"),
        (INT, "int", 3.0, "the parameter `depth` takes int, not 3.0"),
        ({"type": "number"}, "float", 10**400, "the parameter `depth` takes float, not 1000"),
        ({"type": "boolean"}, "bool", 1, "the parameter `depth` takes bool, not 1"),
        ({"anyOf": [INT, {"type": "null"}]}, "int | None", "", "takes int | None, not"),
        ({"enum": ["a"]}, 'Literal["a"]', "b", 'takes Literal["a"], not "b"'),
        ({"enum": [1]}, "Literal[1]", True, "takes Literal[1], not true"),
        (
            {"type": "array", "items": INT},
            "list[int]",
            [1, "x"],
            'takes list[int], but `depth[1]` is "x": it is not of type integer',
        ),
        ({"type": "array", "minItems": 2, "maxItems": 2}, "tuple[int, int]", [1], "takes tuple"),
        ({"type": "array", "prefixItems": [INT], "items": False}, "tuple[int]", [1, 2], "takes"),
        ({"type": "object", "required": ["a"]}, "Point", {}, "takes Point, not {}"),
    ],
)
def test_what_does_not_fit(schema: Any, kind: str, value: Any, problem: str) -> None:
    with pytest.raises(ParameterError) as caught:
        resolve(declared(schema, kind), {"depth": value})
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


def test_all_problems_are_told_together() -> None:
    with pytest.raises(ParameterError) as caught:
        resolve(declared(INT, "int", required=True), {"dept": 1, "unlike": 2})
    assert caught.value.problems == [
        "there is no parameter `dept`; did you mean `depth`?",
        "there is no parameter `unlike`; the pipeline takes: `depth`",
        "the parameter `depth` (int) is missing",
    ]


def test_one_that_has_a_value_already_is_still_named() -> None:
    kept = declared(INT, "int", required=True)
    assert resolve(kept, {}, {"depth"}) == {}
    with pytest.raises(ParameterError, match="no parameter `unlike`; the pipeline takes: `depth`"):
        resolve(kept, {"unlike": 1}, {"depth"})


def test_a_default_stands_in() -> None:
    assert resolve(declared(INT, "int"), {}) == {"depth": 4}


@pytest.mark.parametrize(
    ("schema", "value", "taken"),
    [
        ({"type": "number"}, 1, 1.0),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, 1, 1.0),
        ({"type": "array", "items": {"type": "number"}}, [1, 2.5], [1.0, 2.5]),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"a": 1}, {"a": 1.0}),
    ],
)
def test_a_whole_number_for_a_float_is_a_float(schema: Any, value: Any, taken: Any) -> None:
    assert repr(resolve(declared(schema, ""), {"depth": value})["depth"]) == repr(taken)
