"""Cases on a real Kubeflow Pipelines, in pods, do what plain Python does.

`make conformance-kubeflow-server` runs all inputs of all cases, which takes long: a task is two
pods. Without LEVADA_KUBEFLOW_SERVER nothing here is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, cases_for_engines
from tests.conformance.engines.kubeflow_server import AT_A_TIME, Project
from tests.conformance.engines.pods import Runs
from tests.conformance.trace import differences
from tests.engines.kubeflow import Kubeflow
from tests.engines.kubeflow_server import Server


@pytest.fixture(scope="module")
def runs(
    kubeflow_server: Server,
    kubeflow: Kubeflow,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Runs]:
    """The runs of all cases that were asked for, started."""
    project = Project(kubeflow_server, kubeflow, tmp_path_factory.mktemp("conformance"))
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    cases = [item.callspec.params["case"] for item in items if item.module is request.module]
    started = Runs(project.run, cases, AT_A_TIME)
    yield started
    started.close()


@pytest.mark.parametrize("case", cases_for_engines("kubeflow"), ids=lambda case: case.id)
def test_kubeflow_server(runs: Runs, case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path)
    assert differences(expected, runs.result(case), case) == []
