"""What the generated DAGs rest on, and what they must avoid: README.md, seen on both versions.

Each `facts/x.py` is a DAG; `facts/x.json` says what its runs with these parameters come to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .airflow import Airflow, Run

pytestmark = pytest.mark.engine

FACTS = Path(__file__).parent / "facts"
NAMES = sorted(path.stem for path in FACTS.glob("*.json"))


@pytest.fixture(scope="module")
def runs(airflow: Airflow) -> Mapping[str, list[Run]]:
    """All runs of all DAGs, over."""
    airflow.deploy({path.name: path.read_text() for path in FACTS.glob("*.py")})
    started = {
        name: airflow.start_runs((name, case["conf"]) for case in _cases(name)) for name in NAMES
    }
    airflow.wait([run for some in started.values() for run in some], timeout=600)
    return started


@pytest.mark.parametrize("name", NAMES)
def test_facts(name: str, runs: Mapping[str, list[Run]], airflow: Airflow) -> None:
    """States, numbers of tries and results are those that the file says."""
    for case, run in zip(_cases(name), runs[name], strict=True):
        assert run.state == case["state"], run.describe()
        assert _named(run.states(), expected := _of(case, "tasks", airflow)) == expected, case
        tries = {task.task_id: task.try_number for task in run.tasks}
        assert _named(tries, expected := case.get("tries", {})) == expected, case
        for task_id, expected in _of(case, "returns", airflow).items():
            assert _returned(run, task_id) == expected, (task_id, case["conf"])


def _cases(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FACTS / f"{name}.json").read_text())
    return cases


def _of(case: Mapping[str, Any], part: str, airflow: Airflow) -> dict[str, Any]:
    return {**case.get(part, {}), **case.get(f"{part} in airflow {airflow.version}", {})}


def _named(found: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found.get(name) for name in expected}


def _returned(run: Run, task_id: str) -> object:
    indexes = [task.map_index for task in run.tasks if task.task_id == task_id]
    values = [run.xcom(task_id, index) for index in indexes]
    return values[0] if indexes == [-1] else values
