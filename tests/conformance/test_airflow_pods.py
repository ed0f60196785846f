"""Airflow runs the cases in pods, too, in a namespace that takes only restricted ones.

A pod takes the machine for some seconds, so by default it is a few cases. With
`LEVADA_EVERY_INPUT=1` it is every input of every case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster, Namespace
from tests.cluster.place import wait_until
from tests.conformance import plain, records
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import airflow as engine
from tests.conformance.engines.airflow_docker import ContainerProject
from tests.conformance.engines.airflow_pods import connect, make
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines import airflow
from tests.engines.airflow import Airflow, Run

pytestmark = pytest.mark.engine

CHOSEN = ("branch_in_fan_out", "try_except_finally", "strings", "failure", "programs")


def chosen_cases() -> list[Case]:
    """The inputs to run."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    return [
        case
        for case in all_cases("airflow", programs=True)
        if every or (case.name in CHOSEN and case.number == 0)
    ]


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Namespace]:
    """Where the pods are."""
    with cluster.namespace() as made:
        yield made


@pytest.fixture(scope="module")
def project(
    airflow_3: Airflow, space: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> ContainerProject:
    """The cases, with requirements."""
    folder = tmp_path_factory.mktemp("pods")
    tool_images.import_into(space.cluster.containerd, folder)
    images.write_shell(folder / "shell.tar")
    sidecar = space.cluster.containerd.import_image(folder / "shell.tar", "levada.local/shell")
    return make(folder, space, connect(airflow_3, space, sidecar))


@pytest.fixture(scope="module")
def runs(airflow_3: Airflow, project: ContainerProject) -> dict[str, Run]:
    """All cases at once."""
    return project.start_all(airflow_3, chosen_cases())


@pytest.mark.parametrize("case", chosen_cases(), ids=lambda case: case.id)
def test_airflow_pods(
    airflow_3: Airflow,
    project: ContainerProject,
    runs: dict[str, Run],
    case: Case,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path, tool_images.engine_for(case.programs, request))
    found = engine.trace(airflow_3, case, runs[case.id], project.store)
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, runs[case.id].refresh().describe()])


def test_no_pod_is_left(space: Namespace, runs: dict[str, Run]) -> None:
    """Airflow removes each when it has its result."""
    assert runs
    wait_until("no pod is left", lambda: space.get("pods")["items"] == [])


def test_every_step_ran_in_its_image(project: ContainerProject, runs: dict[str, Run]) -> None:
    """The records name an image by its digest, and Airflow as the engine."""
    case = chosen_cases()[0]
    found = records.records(str(project.store), case.pipeline, runs[case.id].run_id)
    assert found
    assert all("@sha256:" in record["environment"]["image"] for record in found)
    assert {record["engine"]["name"] for record in found} == {"airflow"}


def test_deferred_pods_do_the_same(cluster: Cluster, tmp_path: Path) -> None:
    """With the option `deferrable` a step waits in the triggerer."""
    case = next(case for case in all_cases("airflow") if case.name == "try_except_finally")
    images.write_shell(tmp_path / "shell.tar")
    sidecar = cluster.containerd.import_image(tmp_path / "shell.tar", "levada.local/shell")
    folder = tmp_path / "deferred"
    folder.mkdir()
    with cluster.namespace() as space, airflow.start("3", triggerer=True) as server:
        project = make(folder, space, connect(server, space, sidecar), "deferrable = true\n")
        run = project.start_all(server, [case])[case.id]
        found = engine.trace(server, case, run, project.store)
        logs = (server.home / "logs").rglob("*.log")
        assert any("DEFERRED" in log.read_text(errors="replace") for log in logs)
    expected = plain.run(case, tmp_path)
    assert differences(expected, found, case) == []
