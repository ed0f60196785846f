"""Cases compiled for Kubeflow whose store is a bucket, run by KFP's local runner.

The runner ignores what a compiled file says of Kubernetes, so containers get the keys that a
cluster would take from a Secret by `kubeflow_run`: those of Levada only, not a program's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import kubeflow as engine
from tests.conformance.engines.kubeflow import Project
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines.docker import Docker
from tests.engines.kubeflow import Kubeflow
from tests.engines.object_stores.fixtures import use
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
CHOSEN = (
    *("branch_in_fan_out-0", "churn_shape-0", "failing_condition-0", "failure-0", "frames-0"),
    *("programs-0", "return_by_output-0", "try_in_fan_out-0"),
)
CASES = [case for case in all_cases("kubeflow", programs=True) if case.id in CHOSEN]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the project is, and what runs leave on this machine."""
    return tmp_path_factory.mktemp("kubeflow-bucket")


@pytest.fixture(scope="module")
def project(docker: Docker, kubeflow: Kubeflow, versitygw: Bucket, folder: Path) -> Any:
    """The cases, with their store in a bucket; this process has its variables too."""
    tool_images.load(docker, folder)
    with pytest.MonkeyPatch.context() as patch:
        use(versitygw, patch)
        patch.setenv("LEVADA_BLOB_CACHE", str(folder / "blob-cache"))
        yield engine.make_project(folder, docker, kubeflow, versitygw.at("kubeflow"))


@pytest.fixture(scope="module")
def files(project: Project) -> dict[str, Path]:
    """The compiled files, by the cases' ids."""
    return {case.id: project.compiled(case) for case in CASES}


@pytest.fixture(scope="module")
def runs(project: Project, files: dict[str, Path], folder: Path) -> dict[str, dict[str, Any]]:
    """How each run ended."""
    given = [project.run(case, files[case.id], folder / case.id) for case in CASES]
    ended = project.kubeflow.run(given, project.docker.host, folder / "outputs", seconds=600)
    return {case.id: one for case, one in zip(CASES, ended, strict=True)}


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in CASES} == set(CHOSEN)


def test_kfp_takes_the_files(project: Project, files: dict[str, Path]) -> None:
    problems = project.kubeflow.problems(list(files.values()))
    assert {name: said for name, said in problems.items() if said} == {}


def test_keys_come_from_a_secret_and_nothing_is_mounted(files: dict[str, Path]) -> None:
    for file in files.values():
        spec, platform = yaml.safe_load_all(file.read_text())
        executors = spec["deploymentSpec"]["executors"]
        kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        assert "open-sesame" not in file.read_text()
        assert "pvcMount" not in file.read_text()
        for name, one in executors.items():
            variables = {each["name"] for each in one["container"].get("env", ())}
            is_ours = "LEVADA_STORE" in variables
            assert ("AWS_ENDPOINT_URL" in variables) == is_ours
            assert ("secretAsEnv" in kubernetes[name]) == is_ours


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_kubeflow_in_a_bucket(
    project: Project, runs: dict[str, dict[str, Any]], case: Case, tmp_path: Path
) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    assert project.bucket is not None
    expected = plain.run(case, tmp_path, project.docker.host)
    found = engine.trace(case, project.bucket.url, runs[case.id])
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, runs[case.id]["log"]])
