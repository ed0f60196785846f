"""Cases in an Airflow whose tasks are pods, with their store in a bucket and no volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster, Namespace
from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import airflow as engine
from tests.conformance.engines.airflow_docker import ContainerProject
from tests.conformance.engines.airflow_pods import connect, make_in_bucket
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines.airflow import Airflow, Run
from tests.engines.object_stores import servers
from tests.engines.object_stores.fixtures import use
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
CHOSEN = ("named_outputs-0", "programs-0", "try_except_finally-0")
CASES = [case for case in all_cases("airflow", programs=True) if case.id in CHOSEN]


@pytest.fixture(scope="module")
def bucket(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket that pods reach at this machine's address; this process has its variables too."""
    folder = tmp_path_factory.mktemp("versitygw")
    with servers.versitygw(folder, cluster.host) as started, pytest.MonkeyPatch.context() as patch:
        use(started, patch)
        patch.setenv("LEVADA_BLOB_CACHE", str(tmp_path_factory.mktemp("blob-cache")))
        yield started.at("airflow-pods")


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Namespace]:
    """Where the pods are."""
    with cluster.namespace() as made:
        yield made


@pytest.fixture(scope="module")
def project(
    airflow_3: Airflow, space: Namespace, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> ContainerProject:
    """The cases, with requirements."""
    folder = tmp_path_factory.mktemp("pods")
    tool_images.import_into(space.cluster.containerd, folder)
    images.write_shell(folder / "shell.tar")
    sidecar = space.cluster.containerd.import_image(folder / "shell.tar", "levada.local/shell")
    return make_in_bucket(folder, space, connect(airflow_3, space, sidecar), bucket)


@pytest.fixture(scope="module")
def runs(airflow_3: Airflow, project: ContainerProject) -> dict[str, Run]:
    """All cases at once."""
    return project.start_all(airflow_3, CASES)


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in CASES} == set(CHOSEN)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_airflow_pods_in_a_bucket(
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


def test_no_key_is_in_a_file_or_a_log(
    airflow_3: Airflow, project: ContainerProject, runs: dict[str, Run], bucket: Bucket
) -> None:
    airflow_3.wait(list(runs.values()), engine.SECONDS)
    key = bucket.environment["AWS_SECRET_ACCESS_KEY"]
    files = list((project.project.root / "dags").glob("*.py"))
    assert files
    for run in runs.values():
        files += (airflow_3.home / "logs").rglob(f"*{run.run_id}*/**/*.log")
    assert not [path for path in files if key in path.read_text(errors="replace")]
