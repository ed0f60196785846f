"""Cases in an Airflow whose tasks are containers, with their store in a bucket.

What the worker knows of the bucket is in its own variables, which the containers get; the program
of another image does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import airflow as engine
from tests.conformance.engines.airflow_docker import ContainerProject, make
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines import airflow
from tests.engines.airflow import Airflow, Run
from tests.engines.docker import Docker
from tests.engines.fixtures import require_airflow
from tests.engines.object_stores.fixtures import use
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
CHOSEN = ("frames-0", "named_outputs-0", "programs-0", "try_except_finally-0")
CASES = [case for case in all_cases("airflow", programs=True) if case.id in CHOSEN]


@pytest.fixture(scope="module")
def server(versitygw: Bucket) -> Iterator[Airflow]:
    """An Airflow whose workers know how the bucket is reached; this process does too."""
    require_airflow("3")
    with (
        airflow.start("3", versitygw.environment) as started,
        pytest.MonkeyPatch.context() as patch,
    ):
        use(versitygw, patch)
        patch.setenv("LEVADA_BLOB_CACHE", str(started.home / "blob-cache"))
        yield started


@pytest.fixture(scope="module")
def project(
    docker: Docker, versitygw: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> ContainerProject:
    """The cases, with requirements."""
    folder = tmp_path_factory.mktemp("containers")
    tool_images.load(docker, folder)
    return make(folder, docker, versitygw.at("airflow-docker"))


@pytest.fixture(scope="module")
def runs(server: Airflow, project: ContainerProject) -> dict[str, Run]:
    """All cases at once."""
    return project.start_all(server, CASES)


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in CASES} == set(CHOSEN)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_airflow_docker_in_a_bucket(
    server: Airflow,
    project: ContainerProject,
    runs: dict[str, Run],
    docker: Docker,
    case: Case,
    tmp_path: Path,
) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path, docker.host)
    found = engine.trace(server, case, runs[case.id], project.store)
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, runs[case.id].refresh().describe()])


def test_airflow_shows_no_key(server: Airflow, runs: dict[str, Run]) -> None:
    """Neither in the logs of tasks nor in what it keeps of them."""
    server.wait(list(runs.values()), engine.SECONDS)
    logs = [path for path in (server.home / "logs").rglob("*.log") if "dag_id" in str(path)]
    assert logs
    assert not [path for path in logs if b"open-sesame" in path.read_bytes()]
