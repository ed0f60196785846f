"""Every case in a real Airflow, of both versions, does what plain Python does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import airflow as engine
from tests.conformance.trace import differences
from tests.engines.airflow import Airflow, Run

pytestmark = pytest.mark.engine


@pytest.fixture(scope="session")
def runs(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All cases at once: Airflow has more to do than to wait."""
    return engine.start_all(airflow, all_cases(), tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_airflow(airflow: Airflow, runs: dict[str, Run], case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path)
    found = engine.trace(airflow, case, runs[case.id])
    said = differences(expected, found, case.may_also_run)
    assert said == [], "\n".join([*said, runs[case.id].refresh().describe()])
