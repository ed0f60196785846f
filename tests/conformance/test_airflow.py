"""Every case in a real Airflow, of both versions, does what plain Python does.

In 2.11 it is the first input of each case that has a module of its own, and those that fail; with
`LEVADA_EVERY_INPUT=1` all.
The file is the same for both, and what decides in it is Levada's: 3.x has every input.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, cases_for_engines
from tests.conformance.engines import airflow as engine
from tests.conformance.trace import differences
from tests.engines.airflow import Airflow, Run

pytestmark = pytest.mark.engine

CASES = cases_for_engines("airflow")


def chosen_cases() -> list[Case]:
    """The inputs to run in 2.11: of the cases with a module of their own."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    chosen = (case for case in CASES if not case.file and (case.number == 0 or case.fails))
    return CASES if every else list(chosen)


@pytest.fixture(scope="session")
def runs_3(airflow_3: Airflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All cases at once: Airflow has more to do than to wait."""
    return engine.start_all(airflow_3, CASES, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def runs_2(airflow_2: Airflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same for the chosen ones."""
    return engine.start_all(airflow_2, chosen_cases(), tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_airflow_3(airflow_3: Airflow, runs_3: dict[str, Run], case: Case, tmp_path: Path) -> None:
    check(airflow_3, runs_3[case.id], case, tmp_path)


@pytest.mark.parametrize("case", chosen_cases(), ids=lambda case: case.id)
def test_airflow_2(airflow_2: Airflow, runs_2: dict[str, Run], case: Case, tmp_path: Path) -> None:
    check(airflow_2, runs_2[case.id], case, tmp_path)


def check(airflow: Airflow, run: Run, case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path)
    found = engine.trace(airflow, case, run)
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, run.refresh().describe()])
