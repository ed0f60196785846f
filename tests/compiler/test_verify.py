"""What a valid program is: random valid ones, and edits that make one invalid (``verify/``)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from levada_compiler.program import ir, ir_json
from levada_compiler.program.verify import verify

from tests.compiler.whole_programs import programs

CASES = Path(__file__).parent / "verify"
VALID = (CASES / "program.json").read_text()


def edits() -> list[tuple[str, str, str]]:
    lines = (CASES / "edits.md").read_text().splitlines()
    rows = [re.findall(r"`([^`]*)`", line) for line in lines if line.startswith("| `")]
    return [(where, value, problem) for where, value, problem in rows]


def edited(where: str, value: str) -> ir.Program:
    document: Any = json.loads(VALID)
    *path, last = keys(where)
    holder = document
    for key in path:
        holder = holder[key]
    holder[last] = json.loads(value)
    return ir_json.load(json.dumps(document))


def keys(where: str) -> list[str | int]:
    return [int(key) if key.isdigit() else key for key in re.findall(r"\w+", where)]


def test_the_program_of_the_cases_is_valid() -> None:
    assert verify(ir_json.load(VALID)) == []


@pytest.mark.parametrize(("where", "value", "problem"), edits())
def test_an_edit_that_makes_it_invalid(where: str, value: str, problem: str) -> None:
    problems = [each.replace("`", '"') for each in verify(edited(where, value))]
    assert any(each.startswith(problem) for each in problems), problems


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(programs())
def test_random_valid_programs_are_valid(program: ir.Program) -> None:
    assert verify(program) == []
