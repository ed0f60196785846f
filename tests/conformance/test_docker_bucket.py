"""Cases with each step in a container of its own, and their store in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines.docker import Project, make_project
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines.docker import Docker
from tests.engines.object_stores.fixtures import use
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
CHOSEN = ("effect_gate-0", "failure-0", "frames-0", "programs-0")
CASES = [case for case in all_cases("docker", programs=True) if case.id in CHOSEN]


@pytest.fixture(scope="module")
def project(
    docker: Docker, versitygw: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """The cases, with requirements and a bucket; this process has its variables."""
    folder = tmp_path_factory.mktemp("docker-bucket")
    tool_images.load(docker, folder)
    bucket = versitygw.at("docker")
    with pytest.MonkeyPatch.context() as patch:
        use(versitygw, patch)
        patch.setenv("LEVADA_BLOB_CACHE", str(folder / "blob-cache"))
        yield make_project(folder, docker, bucket)


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in CASES} == set(CHOSEN)


def test_an_image_without_the_client(project: Project, docker: Docker, tmp_path: Path) -> None:
    """The project does not name the bucket, so its images are not built for one."""
    assert project.bucket is not None
    other = make_project(tmp_path, docker)
    where = ("--store", project.bucket.url, "--executor", "docker", "--network", "host")
    done = other.levada("run", "values.py", *where)
    assert done.returncode == 1
    assert "needs the package obstore, which is not installed: write the store's URL" in done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_docker_in_a_bucket(project: Project, case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended; no container is left."""
    expected = plain.run(case, tmp_path, project.docker.host)
    found = project.run(case, tmp_path)
    assert differences(expected, found, case) == []
    assert project.docker.run("ps", "--all", "--quiet").stdout == ""
