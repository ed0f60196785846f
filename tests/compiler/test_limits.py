"""The limits of a parameter are read from its annotation, and kept by its default."""

from __future__ import annotations

from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.program import forms
from levada_compiler.program.ir import Parameter

MODULE = """\
from collections.abc import Sequence
from typing import Annotated, Literal, Optional
import annotated_types as at
import pydantic
from annotated_types import Ge, Interval
from pydantic import Field
from levada import pipeline, step

LEAST = 2

@step
def work(value: object) -> None: ...

@pipeline
def nightly(value: {annotation} = {default}):
    work(value)
"""


def schema(parameter: Parameter) -> dict[str, object]:
    return forms.schema(forms.of_parameter(parameter))


def compiled(annotation: str, default: str, folder: Path):
    """The compilation of a pipeline with one parameter."""
    module = folder / "nightly.py"
    module.write_text(MODULE.format(annotation=annotation, default=default))
    return compile_file(module)


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        ("Annotated[int, Ge(1)]", "1", {"minimum": 1}),
        ("Annotated[int, at.Gt(gt=1), at.Le(9)]", "2", {"exclusiveMinimum": 1, "maximum": 9}),
        ("Annotated[int, Interval(ge=LEAST, lt=5)]", "2", {"minimum": 2, "exclusiveMaximum": 5}),
        ("Annotated[int, pydantic.Field(multiple_of=3)]", "3", {"multipleOf": 3}),
        ("Annotated[str, at.Len(1, 3)]", '"a"', {"minLength": 1, "maxLength": 3}),
        ("Annotated[list[int], Field(min_length=1)]", "[1]", {"minItems": 1}),
        ("Annotated[list[str], Field(min_length=1)]", '["a"]', {"minItems": 1}),
        ("Annotated[str, Field(pattern='^a')]", '"ab"', {"pattern": "^a"}),
        ("Annotated[float, Ge(0)] | None", "None", {"minimum": 0}),
        ("Optional[Annotated[float, Ge(0)]]", "None", {"minimum": 0}),
        ("'Annotated[int, Ge(1)]'", "1", {"minimum": 1}),
        # What is no limit is Python's own business.
        ("Annotated[int, 'in cm']", "1", {}),
        ("Annotated[int, Field(description='x', ge=unknown)]", "1", {}),
    ],
)
def test_limits(annotation: str, default: str, expected: object, tmp_path: Path) -> None:
    program = compiled(annotation, default, tmp_path).program
    assert program is not None
    (parameter,) = program.parameters
    found = schema(parameter)
    assert {name: found[name] for name in found if name not in ("type", "anyOf", "items")} == (
        expected
    )


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        ("list[Annotated[int, Ge(1)]]", "[1]", {"items": {"type": "integer", "minimum": 1}}),
        (
            "Annotated[list[Annotated[str, at.Len(1, 3)]], Field(min_length=1)]",
            '["a"]',
            {"minItems": 1, "items": {"type": "string", "minLength": 1, "maxLength": 3}},
        ),
        (
            "Sequence[Annotated[float, Ge(0)]]",
            "[1.0]",
            {"items": {"type": "number", "minimum": 0}},
        ),
        (
            "'list[list[Annotated[int, Ge(1)]]]'",
            "[[1]]",
            {"items": {"type": "array", "items": {"type": "integer", "minimum": 1}}},
        ),
        (
            "Optional[list[Annotated[int, Ge(1)]]]",
            "None",
            {
                "anyOf": [
                    {"type": "array", "items": {"type": "integer", "minimum": 1}},
                    {"type": "null"},
                ]
            },
        ),
        (
            "dict[str, Annotated[int, Ge(1)]]",
            "{}",
            {"additionalProperties": {"type": "integer", "minimum": 1}},
        ),
    ],
)
def test_limits_of_items(annotation: str, default: str, expected: object, tmp_path: Path) -> None:
    program = compiled(annotation, default, tmp_path).program
    assert program is not None
    found = schema(program.parameters[0])
    kept = ("additionalProperties", "anyOf", "items", "minItems")
    assert {name: value for name, value in found.items() if name in kept} == expected


@pytest.mark.parametrize("text", ["-" * 20_000 + "1", "a" + ".b" * 9_000, "\0"])
def test_what_a_literal_holds_is_no_annotation(text: str, tmp_path: Path) -> None:
    annotation = f"Literal[{text!r}]"
    found = compiled(annotation, repr(text), tmp_path)
    assert found.diagnostics == ()
    assert found.program is not None
    assert schema(found.program.parameters[0]) == {"enum": [text]}


@pytest.mark.parametrize(
    ("annotation", "default", "problem"),
    [
        ("Annotated[int, Ge(1)]", "0", "is less than 1"),
        ("Annotated[int, at.Lt(3)]", "3", "is not less than 3"),
        ("Annotated[int, at.MultipleOf(3)]", "4", "is no multiple of 3"),
        ("Annotated[str, at.MinLen(2)]", '"a"', "has fewer than 2 characters"),
        ("Annotated[list[int], at.MaxLen(1)]", "[1, 2]", "has more than 1 items"),
        ("Annotated[str, Field(pattern='^a')]", '"b"', "does not match ^a"),
        ("list[Annotated[int, Ge(1)]]", "[1, 0]", "`value[1]` is less than 1"),
    ],
)
def test_a_default_beyond_the_limits(
    annotation: str, default: str, problem: str, tmp_path: Path
) -> None:
    found = compiled(annotation, default, tmp_path).diagnostics
    assert [(one.id, one.message) for one in found] == [
        ("parameter-default", f"the default of `value` does not fit: {problem}")
    ]
