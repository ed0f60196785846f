"""A plan is read only if it has the shape that the engine and the reading side use."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import plan
from levada_records.plan_shape import problem_of

from tests.conformance.case import CASES

GOLDENS = Path(__file__).parent.parent / "targets" / "kubernetes" / "goldens"
MODULES = sorted(CASES.glob("[b-f]*.py"))

SOURCE = """
from levada import pipeline, step

@step
def load(n: int) -> list[int]: ...

@pipeline
def inner(n: int):
    return load(n)

@pipeline
def main(n: int = 1):
    try:
        parts = [load(each) for each in inner(n)]
        if n > 1:
            raise ValueError("many")
    except ValueError:
        parts = [load(0)]
    return parts
"""


@pytest.mark.parametrize("name", ["minimal", "nightly-training", "programs"])
def test_deployed_plans_fit(name: str) -> None:
    for document in yaml.safe_load_all((GOLDENS / name / "plan.yaml").read_text()):
        assert problem_of(json.loads(document["data"]["plan.json"])) is None


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_plans_of_all_constructs_fit(module: Path) -> None:
    described = json.loads(module.with_suffix(".json").read_text())
    names = described.get("pipelines") if isinstance(described, dict) else None
    for name in names or [None]:
        program = compile_file(str(module), name).program
        assert program is not None
        assert problem_of(json.loads(json.dumps(plan(program)))) is None


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "main.py").write_text(SOURCE)
    program = compile_file(str(tmp_path / "main.py"), "main").program
    assert program is not None
    made: dict[str, Any] = json.loads(json.dumps(plan(program)))
    assert problem_of(made) is None
    return made


def values_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all texts, lists and objects in a plan, but for those that have any shape."""
    if path and path[-1] in ("settings", "schema", "default", "description", "compiler"):
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    nested = [] if isinstance(value, str) else inner
    found = [
        each
        for name, one in nested
        if isinstance(one, (str, list, dict))
        for each in values_in(one, (*path, name))
    ]
    return [path, *found] if path else found


def test_a_value_of_another_type_is_damage_anywhere(found: dict[str, Any]) -> None:
    paths = values_in(found)
    assert len(paths) > 60
    for path in paths:
        changed = copy.deepcopy(found)
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = 5
        assert problem_of(changed) == "its plan is damaged", path


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan.pop("schema"),
        lambda plan: plan.pop("file"),
        lambda plan: plan.update(schema="levada.ir/2"),
        lambda plan: plan["steps"].clear(),
        lambda plan: plan["body"][0].update(kind="while"),
        lambda plan: plan["body"][0].pop("id"),
    ],
)
def test_what_is_left_out_is_damage(
    found: dict[str, Any], change: Callable[[dict[str, Any]], Any]
) -> None:
    change(found)
    assert problem_of(found) == "its plan is damaged"


@pytest.mark.parametrize("held", [None, 1, "x", [], {}])
def test_what_is_no_plan_at_all(held: object) -> None:
    assert problem_of(held) == "its plan is damaged"


def test_a_plan_of_another_version_says_so() -> None:
    said = "its plan is levada.plan/9, and this Levada reads levada.plan/2"
    assert problem_of({"schema": "levada.plan/9"}) == said
