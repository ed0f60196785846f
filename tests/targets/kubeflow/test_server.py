"""`levada deploy`, `submit`, `status`, `logs`, `cancel` and schedules on a real Kubeflow Pipelines.

What the client asks for is shown by `test_client`, without a server; here a server agrees.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance import records
from tests.driver.deployment import build_image
from tests.engines import kubeflow_command
from tests.engines.kubeflow import Kubeflow
from tests.engines.kubeflow_server import Server

PIPELINE = """\
import time

from levada import pipeline, step


@step
def train(depth: int, note: str) -> int:
    print(f"depth {depth}, {note}", flush=True)
    time.sleep(600 if note == "wait" else 20 if note.startswith("slow") else 0)
    return depth * 2


@pipeline(schedule="{schedule}")
def nightly(depth: int = 3, note: str = "{note}"):
    return train(depth, note)
"""
SETTINGS = """
[tool.levada.targets.kubeflow]
image = "{image}"
host = "{host}"
namespace = "kubeflow"
"""
_SECONDS = 300


@dataclass
class Project:
    """A project whose image is in the cluster's registry, and the command line."""

    folder: Path
    python: Path

    def levada(self, *words: str, code: int = 0) -> str:
        """Run the command; gives its output."""
        home = self.folder.parent / "home"
        done = kubeflow_command.run(self.python, self.folder, home, *words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def changes(self) -> list[str]:
        """What a deploy says of each thing."""
        said = json.loads(self.levada("deploy", "pipeline.py", "-t", "kubeflow", "--json"))
        return [change["status"] for change in said["changes"]]

    def submit(self, *words: str) -> dict[str, Any]:
        """Start a run; gives what is said of it."""
        said: dict[str, Any] = json.loads(
            self.levada("submit", "pipeline.py", "-t", "kubeflow", "--json", *words)
        )
        return said

    def status(self, run: str) -> dict[str, Any]:
        """What is said of a run."""
        done = kubeflow_command.run(
            *(self.python, self.folder, self.folder.parent / "home", "status", run, "--json")
        )
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def schedule(self, cron: str, note: str = "a") -> None:
        """Write the pipeline with this schedule, and this note for its runs."""
        text = PIPELINE.replace("{schedule}", cron).replace("{note}", note)
        (self.folder / "pipeline.py").write_text(text)


@pytest.fixture(scope="module")
def project(
    kubeflow_server: Server, kubeflow: Kubeflow, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    folder = tmp_path_factory.mktemp("server") / "project"
    folder.mkdir()
    made = Project(folder, kubeflow.python)
    made.schedule("0 3 1 1 *")
    image = build_image(folder, kubeflow_server.registry)
    (folder / "levada.lock").unlink()
    with (folder / "pyproject.toml").open("a") as file:
        file.write(SETTINGS.format(image=image, host=kubeflow_server.url))
    made.changes()
    return made


def until(what: str, is_so: Callable[[], bool]) -> None:
    """Wait until it says yes."""
    deadline = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"it is still not so that {what}"
        time.sleep(2)


def test_what_was_deployed_is_unchanged(project: Project) -> None:
    assert project.changes() == ["unchanged", "unchanged"]


def test_a_run_has_states_and_logs(project: Project, kubeflow_server: Server) -> None:
    note = f'it\'s "so" {{x}} {uuid4()}'  # new, so that nothing is cached on a server in use
    said = project.submit("--param", "depth=5", "--param", f"note={note}", "--watch")
    assert said["status"] == "succeeded"
    assert (_steps(said), said["outputs"]) == (["succeeded"], 10)
    assert project.levada("logs", said["run"]) == f"train | depth 5, {note}\n"
    store = str(kubeflow_server.store)
    (record,) = records.records(store, "nightly", said["run_id"])
    assert record["status"] == "succeeded"


def test_a_run_is_cancelled(project: Project) -> None:
    run = project.submit("--param", "note=wait")["run"]
    until("the step runs", lambda: "running" in _steps(project.status(run)))
    project.levada("cancel", run)
    # Now and then KFP's agent writes over that the run was to end: it reports what it read before.
    until("the run is over", lambda: project.status(run)["status"] in ("cancelled", "failed"))


def test_a_schedule_starts_runs(project: Project, kubeflow_server: Server) -> None:
    """A run that is not over when its schedule is replaced comes to its end."""
    project.schedule("* * * * *", f"slow {uuid4()}")
    assert project.changes()[1:] == ["new", "removed"]
    runs = kubeflow_server.store / "runs" / "nightly"
    before = set(runs.glob("*"))
    until("a run has begun", lambda: set(runs.glob("*")) > before)
    project.schedule("0 3 1 1 *")
    assert project.changes()[1:] == ["new", "changed"]
    (begun,) = set(runs.glob("*")) - before
    run, over = f"kubeflow:nightly/{begun.name}", ("succeeded", "failed", "cancelled")
    until("it is over", lambda: project.status(run)["status"] in over)
    assert project.status(run)["status"] == "succeeded"
    assert project.changes()[1:] == ["unchanged", "removed"]


def _steps(said: dict[str, Any]) -> list[str]:
    return [step["status"] for step in said["steps"] if not step["control"]]
