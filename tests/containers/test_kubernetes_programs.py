"""Container steps as pods of a real Kubernetes, in the restricted profile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from levada import values
from levada.store import open_store

from tests.cluster.cluster import Cluster, Namespace
from tests.containers import tool_images
from tests.driver.deployment import ClusterRun, Deployment, build_image, manifests

pytestmark = pytest.mark.engine
MODULE = Path(__file__).parent / "cases" / "programs.py"
FAILING = ("failing_later", "forgetting", "lacking", "leaking")
SUCCEEDING = ("programs", "again")


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Namespace]:
    """Where the pods are."""
    with cluster.namespace() as made:
        yield made


@pytest.fixture(scope="module")
def runs(space: Namespace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClusterRun]:
    """A run of each pipeline, over; `again` is a second run of `programs`."""
    folder = tmp_path_factory.mktemp("kubernetes-programs")
    tool_images.import_into(space.cluster.containerd, folder)
    root = folder / "project"
    root.mkdir()
    shutil.copy(MODULE, root)
    image = build_image(root, space.cluster.registry)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}}
    space.apply(secret | {"stringData": {"token": "open sesame"}})

    def start(pipeline: str, name: str) -> ClusterRun:
        made = manifests(root / MODULE.name, pipeline, image)
        return Deployment.apply(space, made).submit(name.replace("_", "-"))

    found = {name: start(name, name) for name in ("programs", *FAILING)}
    assert found["programs"].wait(300) == "succeeded", found["programs"].log()
    found["again"] = start("programs", "again")
    assert found["again"].wait(300) == "succeeded", found["again"].log()
    for name in FAILING:
        assert found[name].wait(300) == "failed"
    return found


def failure(run: ClusterRun, node: str) -> tuple[dict[str, Any], str]:
    """The error of a node's first attempt, and its log."""
    record = run.records()[f"{node}/1"]
    assert record["status"] == "failed"
    error: dict[str, Any] = record["error"]
    return error, (run.folder / node / "1" / "log").read_text()


@pytest.mark.parametrize("name", SUCCEEDING)
def test_files_go_through_programs(runs: dict[str, ClusterRun], name: str) -> None:
    run = runs[name]
    store = open_store(str(run.space.store))
    found = [values.decode(tree, store) for tree in run.outcome()["outputs"]]
    assert found == [2, "row\nrow\n", "été", 5.0]


def test_the_record(runs: dict[str, ClusterRun]) -> None:
    record = runs["programs"].records()["count/1"]
    assert record["environment"]["image"] == tool_images.TOOLS
    assert record["inputs"]["data"]["source"] == "write"
    assert not record["cache"]["hit"]


def test_a_second_run_runs_no_program(runs: dict[str, ClusterRun]) -> None:
    again = runs["again"].records()
    assert {name: record["cache"]["hit"] for name, record in again.items()} == dict.fromkeys(
        ("write/1", "count/1", "fill/1", "copy/1", "read/1", "measure/1"), True
    )
    assert runs["again"].jobs() == []


def test_a_program_that_fails(runs: dict[str, ClusterRun]) -> None:
    error, log = failure(runs["failing_later"], "fail_on")
    assert (error["type"], error["permanent"]) == ("ProgramError", False)
    assert (
        error["message"] == log.strip() == "the program ended with exit code 3: hello $(USER)\nrow"
    )
    assert runs["failing_later"].outcome()["error"]["message"] == error["message"]


def test_the_log_is_what_the_program_printed(runs: dict[str, ClusterRun]) -> None:
    from levada_backends.kubernetes.client import KubernetesClient

    kubeconfig = str(runs["programs"].space.cluster.kubeconfig)
    options = {"namespace": runs["programs"].space.name, "kubeconfig": kubeconfig}
    client = KubernetesClient(options, ".")
    for name, node, expected in (
        ("programs", "count", ["hello", '{"rows": 2}']),
        ("failing_later", "fail_on", ["hello $(USER)", "row"]),
    ):
        run = client.find(name, runs[name].run_id)
        state = next(step for step in client.status(run).steps if step.node == node)
        assert client.log(run, state, 1)[:2] == expected
        assert state.seconds is not None


def test_an_output_that_is_not_written(runs: dict[str, ClusterRun]) -> None:
    error, _ = failure(runs["forgetting"], "forget")
    assert "did not write the output 'lines': there is no /levada/out/lines" in error["message"]


def test_a_command_that_the_image_does_not_have(runs: dict[str, ClusterRun]) -> None:
    error, _ = failure(runs["lacking"], "absent")
    assert "the image cannot run this" in error["message"]
    assert "/bin/absent" in error["message"]


def test_no_line_that_could_have_a_secret_is_kept(runs: dict[str, ClusterRun]) -> None:
    error, log = failure(runs["leaking"], "leak")
    assert error["message"] == log.strip() == "the program ended with exit code 4"
