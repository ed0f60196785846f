"""Container steps of a real Airflow, in pods of a real Kubernetes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from levada import values
from levada.store import open_store
from levada_backends.airflow import task_log
from levada_backends.images.make_base import make_base

from tests.cluster import images
from tests.cluster.cluster import CLAIM, Cluster, Namespace
from tests.cluster.place import wait_until
from tests.conformance import records
from tests.conformance.engines.airflow_pods import OPTIONS, connect
from tests.conformance.engines.docker import PYPROJECT, PYTHON, Cases
from tests.containers import tool_images
from tests.containers.compiling import dags
from tests.engines.airflow import Airflow, Run

pytestmark = pytest.mark.engine
#: Seconds in which a pod has to start; the program of `patient` runs for longer.
PATIENCE = 25
FAILING = ("failing_later", "failing_twice", "forgetting", "lacking_later")
#: Runs of `programs` after the first, and their rows: of one it has run for all, of one for some.
LATER = {"again": 2, "more": 3}


@dataclass(frozen=True)
class Pods:
    """The pipelines of `programs.py`, compiled for Airflow's pods, and their runs."""

    space: Namespace
    server: Airflow
    runs: dict[str, Run]

    @property
    def store(self) -> str:
        return str(self.space.store / "store")

    def record(self, name: str, node: str) -> dict[str, Any]:
        run = self.runs[name]
        found = records.records(self.store, run.dag_id, run.run_id)
        return next(each for each in found if each["node"] == node)

    def attempts(self, name: str, node: str) -> list[dict[str, Any]]:
        """The records of all attempts of a node."""
        run = self.runs[name]
        folder = records.run_folder(self.store, run.dag_id, run.run_id) / node
        return [json.loads(file.read_text()) for file in sorted(folder.glob("*/record.json"))]

    def log(self, name: str, node: str) -> str:
        """What the first attempt of a node left in the store."""
        run = self.runs[name]
        folder = records.run_folder(self.store, run.dag_id, run.run_id)
        return (folder / node / "1" / "log").read_text()

    def printed(self, name: str, node: str) -> list[str]:
        """What `levada logs` shows of the first attempt of a node."""
        run = self.runs[name]
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{node}/logs/1"
        entries = self.server.api.get(path, full_content="true")["content"]
        return [line for line in task_log.step_lines(task_log.entries_of_json(entries)) if line]


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Namespace]:
    """Where the pods are."""
    with cluster.namespace() as made:
        yield made


@pytest.fixture(scope="module")
def pods(airflow_3: Airflow, space: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Pods:
    """A run of each pipeline, over."""
    folder = tmp_path_factory.mktemp("airflow-pod-programs")
    tool_images.import_into(space.cluster.containerd, folder)
    images.write_shell(folder / "shell.tar")
    sidecar = space.cluster.containerd.import_image(folder / "shell.tar", "levada.local/shell")
    project = _project(folder, space, connect(airflow_3, space, sidecar))
    names = ("programs", "patient", *FAILING)
    airflow_3.deploy(dags(project, names, space.cluster.registry), 300)
    found = airflow_3.wait([airflow_3.start_run(name, {}) for name in names], 590)
    runs = dict(zip(names, found, strict=True))
    later = {name: airflow_3.start_run("programs", {"rows": n}) for name, n in LATER.items()}
    found = airflow_3.wait(list(later.values()), 590)
    return Pods(space, airflow_3, runs | dict(zip(later, found, strict=True)))


def _project(folder: Path, space: Namespace, connection: str) -> Cases:
    root, store = folder / "project", space.store / "store"
    for place in (root, store):
        place.mkdir()
    store.chmod(0o777)
    shutil.copy(Path(__file__).parent / "cases" / "programs.py", root)
    options = {
        "connection": connection,
        "namespace": space.name,
        "store": str(store),
        "claim": CLAIM,
        "volume": str(space.store),
    }
    text = OPTIONS.format(**{name: json.dumps(value) for name, value in options.items()})
    digest = make_base(root / "base.tar")
    base = PYPROJECT.format(digest=digest, python=PYTHON)
    (root / "pyproject.toml").write_text(f"{base}{text}startup_timeout_seconds = {PATIENCE}\n")
    return Cases(root)


def test_files_go_through_programs(pods: Pods) -> None:
    run = pods.runs["programs"]
    assert str(run.state) == "success", run.describe()
    outcome = records.run_folder(pods.store, "programs", run.run_id) / "outcome.json"
    outputs = json.loads(outcome.read_text())["outputs"]
    assert [values.decode(tree, open_store(pods.store)) for tree in outputs] == [
        *(2, "row\nrow\n", "été", 5.0),
    ]
    found = pods.record("programs", "count")
    assert found["environment"]["image"] == tool_images.TOOLS
    assert found["inputs"]["data"]["source"] == "write"
    assert found["attempt"] == 1


def test_what_the_cache_has_is_not_run_again(pods: Pods) -> None:
    """The pod ends with what stages; the task succeeds, and has what the first one gave."""
    run, first = pods.runs["again"], pods.runs["programs"]
    assert str(run.state) == "success", run.describe()
    for node in ("count", "copy", "measure"):
        before, found = pods.record("programs", node), pods.record("again", node)
        assert (before["cache"]["hit"], found["cache"]["hit"]) == (False, True)
        assert found["outputs"] == before["outputs"]
        assert found["attempt"] == run.task(node).try_number == 1
        given = run.xcom(node)
        assert given["outputs"] == first.xcom(node)["outputs"]
        assert given["record"].endswith(f"/{node}/1/record.json")
    printed = pods.printed("again", "count")
    assert "hello" not in printed
    assert any(line.startswith("cached: ") for line in printed)


def test_another_input_runs_the_program_again(pods: Pods) -> None:
    run = pods.runs["more"]
    assert str(run.state) == "success", run.describe()
    assert not pods.record("more", "count")["cache"]["hit"]
    assert pods.record("more", "measure")["cache"]["hit"]
    assert pods.printed("more", "count")[0] == "hello"


def test_a_program_that_runs_for_longer_than_a_pod_may_take_to_start(pods: Pods) -> None:
    run = pods.runs["patient"]
    assert str(run.state) == "success", run.describe()
    record = pods.record("patient", "rest")
    assert record["status"] == "succeeded"
    assert record["seconds"] > 39


def test_the_log_is_what_the_program_printed(pods: Pods) -> None:
    """Airflow may read the last second of a log twice."""
    assert list(dict.fromkeys(pods.printed("programs", "count"))) == ["hello", '{"rows": 2}']
    assert list(dict.fromkeys(pods.printed("failing_later", "fail_on"))) == [
        *("hello $(USER)", "row"),
        "AirflowException: the program ended with exit code 3: hello $(USER)",
    ]


def test_a_program_that_fails(pods: Pods) -> None:
    assert str(pods.runs["failing_later"].state) == "failed"
    found = pods.record("failing_later", "fail_on")
    assert found["status"] == "failed"
    assert found["error"]["type"] == "ProgramError"
    assert found["error"]["message"] == "the program ended with exit code 3: hello $(USER)\nrow"
    assert found["inputs"]["data"]["source"] == "write"
    assert "hello $(USER)\nrow" in pods.log("failing_later", "fail_on")


def test_each_attempt_of_a_program_has_a_record(pods: Pods) -> None:
    run = pods.runs["failing_twice"]
    assert str(run.state) == "failed"
    assert run.task("fail_twice").try_number == 2
    found = pods.attempts("failing_twice", "fail_twice")
    assert [record["attempt"] for record in found] == [1, 2]
    said = "the program ended with exit code 3"
    assert all(record["error"]["message"].startswith(said) for record in found)


def test_a_command_that_the_image_does_not_have(pods: Pods) -> None:
    assert str(pods.runs["lacking_later"].state) == "failed"
    error = pods.record("lacking_later", "absent_on")["error"]
    assert "the image cannot run this" in error["message"]
    assert "/bin/absent" in error["message"]


def test_an_output_that_is_not_written(pods: Pods) -> None:
    assert str(pods.runs["forgetting"].state) == "failed"
    error = pods.record("forgetting", "forget")["error"]
    assert "did not write the output 'lines': there is no /levada/out/lines" in error["message"]


def test_no_pod_is_left(pods: Pods) -> None:
    wait_until("no pod is left", lambda: pods.space.get("pods")["items"] == [])
