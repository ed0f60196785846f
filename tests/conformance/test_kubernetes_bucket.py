"""Cases as Jobs of a real cluster whose store is a bucket: no pod has a volume of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.conformance import plain
from tests.conformance.case import IN_BUCKET, Case, all_cases
from tests.conformance.engines.kubernetes import AT_A_TIME, Project
from tests.conformance.engines.pods import Runs
from tests.conformance.trace import differences
from tests.engines.object_stores import servers
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
CASES = [case for case in all_cases() if case.id in IN_BUCKET]


@pytest.fixture(scope="module")
def bucket(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket that pods reach at this machine's address; this process has its variables too."""
    with (
        servers.versitygw(tmp_path_factory.mktemp("versitygw"), cluster.host) as bucket,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in bucket.environment.items():
            patch.setenv(name, value)
        patch.setenv("LEVADA_BLOB_CACHE", str(tmp_path_factory.mktemp("blob-cache")))
        yield bucket.at("store")


@pytest.fixture(scope="module")
def runs(
    cluster: Cluster, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """All runs, started."""
    with cluster.namespace() as space:
        project = Project(space, cluster.registry, tmp_path_factory.mktemp("buckets"), bucket)
        started = Runs(project.run, CASES, AT_A_TIME)
        yield started
        started.close()
        pods = space.get("pods")["items"]
        assert not [
            pod for pod in pods for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v
        ]


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in CASES} == set(IN_BUCKET)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_kubernetes_in_a_bucket(runs: Runs, case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path)
    found = runs.result(case)
    assert differences(expected, found, case) == []
