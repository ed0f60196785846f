"""Airflow runs the cases in containers, too: on a worker that needs nothing of Levada's.

A task that starts a container takes the machine for two seconds, so by default it is one case for
each construct. With `LEVADA_EVERY_INPUT=1` it is every input of every case.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance import plain, records
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import airflow as engine
from tests.conformance.engines.airflow_docker import ContainerProject, make
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines.airflow import Airflow, Run
from tests.engines.docker import Docker

pytestmark = pytest.mark.engine

CHOSEN = (
    *("branch_in_fan_out", "try_except_finally", "failure", "frames", "named_outputs", "modules"),
    "programs",
)


def chosen_cases() -> list[Case]:
    """The inputs to run."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    return [
        case
        for case in all_cases("airflow", programs=True)
        if every or (case.name in CHOSEN and case.number == 0)
    ]


@pytest.fixture(scope="module")
def project(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> ContainerProject:
    """The cases, with requirements."""
    folder = tmp_path_factory.mktemp("containers")
    tool_images.load(docker, folder)
    return make(folder, docker)


@pytest.fixture(scope="module")
def runs(airflow_3: Airflow, project: ContainerProject) -> dict[str, Run]:
    """All cases at once."""
    return project.start_all(airflow_3, chosen_cases())


@pytest.mark.parametrize("case", chosen_cases(), ids=lambda case: case.id)
def test_airflow_docker(
    airflow_3: Airflow,
    project: ContainerProject,
    runs: dict[str, Run],
    docker: Docker,
    case: Case,
    tmp_path: Path,
) -> None:
    """Outputs, the steps that ran and on what, and how the run ended; no container is left."""
    expected = plain.run(case, tmp_path, docker.host)
    found = engine.trace(airflow_3, case, runs[case.id], project.store)
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, runs[case.id].refresh().describe()])


def test_no_container_is_left(docker: Docker, runs: dict[str, Run]) -> None:
    """Airflow removes each when it has its result."""
    assert runs
    assert docker.run("ps", "--all", "--quiet").stdout == ""


def test_every_step_ran_in_its_image(project: ContainerProject, runs: dict[str, Run]) -> None:
    """The records name an image by its digest, and Airflow as the engine."""
    case = chosen_cases()[0]
    found = records.records(str(project.store), case.pipeline, runs[case.id].run_id)
    assert found
    assert all("@sha256:" in record["environment"]["image"] for record in found)
    assert {record["engine"]["name"] for record in found} == {"airflow"}
