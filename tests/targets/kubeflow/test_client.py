"""`levada deploy`, `submit`, `status`, … by the real `kfp` client, against a stub of KFP's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engines import kubeflow_command
from tests.engines.kubeflow import Kubeflow
from tests.targets.kubeflow.api_stub import Api, serve
from tests.targets.kubeflow.argo_nodes import WORKFLOW, details, executed, node

pytestmark = pytest.mark.engine

PIPELINE = """\
from levada import pipeline, step


@step
def train(depth: int) -> int:
    return depth


@pipeline(schedule="30 6 * * *", start_date="2026-01-01", max_active_runs=2)
def nightly(
    depths: list[int] = [1, 2], table: dict[str, int] = {}, note: str = "a", rate: float = 1
):
    for depth in depths:
        train(depth)
"""
LAUNCHED = """\
I1129 03:52:35.717058      23 launcher_v2.go:90] input ComponentSpec:{
  "executorLabel": "exec-train"
}
I1129 03:52:35.772613      23 cache.go:116] Connecting to cache endpoint 10.96.0.21:8887
depth 2
{
I1129 03:52:39.072105      23 launcher_v2.go:692] ExecutorOutput: {
  "artifacts": {}
}
W1129 03:52:39.072420      23 launcher_v2.go:441] Local filepath "/minio/output" does not exist
I1129 03:52:39.110530      23 launcher_v2.go:151] publish success.
F1129 03:52:39.212345      23 main.go:49] failed to execute component: exit status 1
Error: exit status 1
time="2026-11-29T03:52:39.337Z" level=info msg="sub-process exited" argo=true error="<nil>"
"""
SETTINGS = """\
[project]
name = "nightly"
version = "1"

[tool.levada.targets.kubeflow]
image = "registry.example.com/steps:1"
host = "{host}"
token_env = "KFP_TOKEN"
service_account = "trainer"
"""


@dataclass
class Project:
    """A project, the stub that it talks to, and the command line in an environment with `kfp`."""

    folder: Path
    api: Api
    python: Path

    def levada(self, *words: str, code: int = 0, **variables: str) -> str:
        """Run the command; gives what it says."""
        done = kubeflow_command.run(
            *(self.python, self.folder, self.folder.parent / "home", *words),
            **{"KFP_TOKEN": "secret-token", **variables},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def changes(self, *words: str) -> list[str]:
        """What a deploy says of each thing."""
        said = json.loads(self.levada("deploy", "pipeline.py", "-t", "kubeflow", "--json", *words))
        return [change["status"] for change in said["changes"]]

    def ran(self, nodes: dict[str, str], state: str = "SUCCEEDED") -> str:
        """A run whose workflow has these nodes, by their whole names in it, in these states."""
        self.changes()
        self.levada("submit", "pipeline.py", "-t", "kubeflow")
        run = self.api.runs["run_id-0"]
        run |= {"state": state, "run_details": {"task_details": details(nodes)}}
        return "kubeflow:nightly/run_id-0"

    def steps(self, run: str, code: int = 0) -> list[dict[str, Any]]:
        """What is said of the steps of a run."""
        said = json.loads(self.levada("status", run, "--json", code=code))
        steps: list[dict[str, Any]] = said["steps"]
        return steps


@pytest.fixture
def project(tmp_path: Path, kubeflow: Kubeflow) -> Iterator[Project]:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pipeline.py").write_text(PIPELINE)
    api = Api()
    with serve(api) as host:
        (folder / "pyproject.toml").write_text(SETTINGS.format(host=host))
        yield Project(folder, api, kubeflow.python)


def test_a_deploy_uploads_what_changed_and_nothing_else(project: Project) -> None:
    assert project.changes("--dry-run") == ["new", "new"]
    assert project.api.versions == {}
    assert project.changes() == ["new", "new"]
    (version,) = project.api.versions.values()
    assert version["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "nightly"
    assert project.changes() == ["unchanged", "unchanged"]
    (project.folder / "pipeline.py").write_text(PIPELINE.replace("[1, 2]", "[1, 2, 3]"))
    assert project.changes() == ["changed", "new", "removed"]
    assert (len(project.api.pipelines), len(project.api.versions)) == (1, 2)
    assert project.api.tokens == {"Bearer secret-token"}


def test_a_schedule_is_a_recurring_run(project: Project) -> None:
    project.changes()
    (recurring,) = project.api.recurring.values()
    schedule = {"cron": "0 30 6 * * *", "start_time": "2026-01-01T00:00:00Z"}
    assert recurring["trigger"]["cron_schedule"] == schedule
    assert (recurring["max_concurrency"], recurring["no_catchup"]) == (2, True)
    assert recurring["service_account"] == "trainer"
    unscheduled = PIPELINE.replace('schedule="30 6 * * *", ', "")
    (project.folder / "pipeline.py").write_text(unscheduled)
    assert project.changes() == ["changed", "removed"]
    assert project.api.recurring == {}


def test_runs_of_an_earlier_schedule_go_on(project: Project) -> None:
    """With a recurring run, Kubernetes deletes the runs of it that are not over."""
    project.changes()
    (old,) = project.api.recurring.values()
    of_old = {"run_id": "r", "state": "RUNNING", "recurring_run_id": old["recurring_run_id"]}
    project.api.runs["r"] = of_old
    changed = PIPELINE.replace("[1, 2]", "[1, 2, 3]")
    (project.folder / "pipeline.py").write_text(changed)
    assert project.changes() == ["changed", "new", "changed"]
    assert [one["status"] for one in project.api.recurring.values()] == ["DISABLED", "ENABLED"]
    assert "disabled: a deploy after" in project.levada("deploy", "pipeline.py", "-t", "kubeflow")
    (project.folder / "pipeline.py").write_text(PIPELINE)
    assert project.changes("--dry-run") == ["unchanged", "changed", "removed"]
    assert project.changes() == ["unchanged", "changed", "removed"]
    assert [one["status"] for one in project.api.recurring.values()] == ["ENABLED"]
    (project.folder / "pipeline.py").write_text(changed)
    of_old["state"] = "SUCCEEDED"
    assert project.changes() == ["unchanged", "new", "removed"]


def test_what_somebody_disabled_stays_so(project: Project) -> None:
    project.changes()
    (recurring,) = project.api.recurring.values()
    recurring["status"] = "DISABLED"
    assert project.changes() == ["unchanged", "unchanged"]
    assert recurring["status"] == "DISABLED"


def test_a_schedule_is_in_the_time_zone_of_the_server(project: Project) -> None:
    zoned = PIPELINE.replace("schedule=", 'timezone="Europe/Paris", schedule=')
    (project.folder / "pipeline.py").write_text(zoned)
    said = project.levada("deploy", "pipeline.py", "-t", "kubeflow", code=1)
    assert "`schedule_timezone` in [tool.levada.targets.kubeflow]" in said
    assert project.api.versions == {}
    assert project.changes("--set", "schedule_timezone=Europe/Paris") == ["new", "new"]
    (recurring,) = project.api.recurring.values()
    assert recurring["trigger"]["cron_schedule"]["start_time"] == "2025-12-31T23:00:00Z"


def test_a_run_is_of_the_version_and_with_the_parameters_that_were_given(project: Project) -> None:
    project.levada("submit", "pipeline.py", "-t", "kubeflow", code=1)
    project.changes()
    given = ("--param", "depths=[5]", "--param", 'table={"z": 1, "a": 2}', "--param", "rate=2")
    said = project.levada("submit", "pipeline.py", "-t", "kubeflow", *given)
    assert "nightly/run_id-0" in said
    (run,) = project.api.runs.values()
    reference = run["pipeline_version_reference"]
    assert reference["pipeline_version_id"] in project.api.versions
    assert run["service_account"] == "trainer"
    parameters = {"depths": [5], "table": '{"z": 1, "a": 2}', "rate": 2.0}
    assert run["runtime_config"]["parameters"] == parameters
    braces = project.levada(
        "submit", "pipeline.py", "-t", "kubeflow", "--param", "note={{x}}", code=1
    )
    assert "would replace" in braces
    long = project.levada(
        "submit", "pipeline.py", "-t", "kubeflow", "--param", "note=" + "x" * 99000, code=1
    )
    assert "99,002 of them `note`" in long
    large = ("--param", f"depths=[{2**53 + 1}]")
    assert "would change" in project.levada(
        "submit", "pipeline.py", "-t", "kubeflow", *large, code=1
    )


def test_the_state_of_a_run_is_that_of_its_steps(project: Project) -> None:
    train = "root.for-depth.iteration-iterations(1:1).iteration-item.train"
    run = project.ran(executed(train))
    (step,) = project.steps(run)
    assert (step["node"], step["map_index"], step["status"]) == ("train", [1], "succeeded")
    assert (step["attempts"], step["seconds"]) == (1, 5)
    project.api.logs[node(f"{train}.executor")] = LAUNCHED
    assert project.levada("logs", run, "train") == "depth 2\n{\n"


def test_each_attempt_is_a_pod(project: Project) -> None:
    """Argo names pods by their templates, unless it is told not to; the API may not find them."""
    train = "root.for-depth.iteration-iterations(1:1).iteration-item.train"
    attempts = {f"{train}.executor(0)": "FAILED", f"{train}.executor(1)": "SUCCEEDED"}
    run = project.ran(executed(train) | attempts)
    (step,) = project.steps(run)
    assert (step["attempts"], step["status"]) == (2, "succeeded")
    for number, said in enumerate(('{"a": "first"}', "second")):
        one = node(f"{train}.executor({number})").rpartition("-")[2]
        project.api.ui_logs[f"{WORKFLOW}-retry-system-container-impl-{one}"] = said
    assert project.levada("logs", run, "train", "--attempt", "1") == '{"a": "first"}\n'
    assert project.levada("logs", run, "train") == "second\n"


def test_pods_are_asked_for_by_each_of_their_names(project: Project) -> None:
    """One that is gone by its node's id, beside one that is there by its template's name."""
    item = "root.for-depth.iteration-iterations({0}:{0}).iteration-item.train"
    run = project.ran(executed(item.format(0)) | executed(item.format(1)))
    there = node(f"{item.format(1)}.executor").rpartition("-")[2]
    project.api.logs[node(f"{item.format(0)}.executor")] = "gone"
    project.api.logs[f"{WORKFLOW}-system-container-impl-{there}"] = "there"
    said = project.levada("logs", run)
    assert sorted(line.rpartition(" ")[2] for line in said.splitlines()) == ["gone", "there"]


def test_a_log_that_is_gone_is_said_to_be(project: Project) -> None:
    train = "root.for-depth.iteration-iterations(0:0).iteration-item.train"
    run = project.ran(executed(train))
    assert "Failed to read logs" in project.levada("logs", run, "train", code=1)


def test_a_driver_that_fails_is_the_failure_of_its_task(project: Project) -> None:
    run = project.ran(
        {
            "root": "FAILED",
            "root.for-depth-items-driver": "FAILED",
            "root.for-depth-items": "RUNTIME_STATE_UNSPECIFIED",
        },
        state="FAILED",
    )
    (step,) = project.steps(run, code=1)
    assert (step["node"], step["status"]) == ("for_depth", "failed")
    assert "driver" in step["reason"]
    project.api.logs[node("root.for-depth-items-driver")] = "no such claim"
    assert "no such claim" in project.levada("logs", run, "for_depth")


def test_a_run_can_be_cancelled_and_tried_again(project: Project) -> None:
    project.changes()
    project.levada("submit", "pipeline.py", "-t", "kubeflow")
    project.levada("cancel", "kubeflow:nightly/run_id-0")
    assert "POST /apis/v2beta1/runs/run_id-0:terminate" in project.api.calls
    history = [{"state": "CANCELING"}, {"state": "FAILED"}]
    project.api.runs["run_id-0"] |= {"state": "FAILED", "state_history": history}
    said = json.loads(project.levada("status", "kubeflow:nightly/run_id-0", "--json", code=130))
    assert said["status"] == "cancelled"
    project.levada("retry", "kubeflow:nightly/run_id-0")
    assert "POST /apis/v2beta1/runs/run_id-0:retry" in project.api.calls
    assert "no run" in project.levada("status", "kubeflow:nightly/other", code=1)


def test_what_the_server_refuses_is_said(project: Project) -> None:
    project.api.refuses = 403
    team = ("--set", "namespace=team")
    said = project.levada("deploy", "pipeline.py", "-t", "kubeflow", *team, code=1)
    assert "answered 403" in said
    assert "token_env" in said
    assert "secret-token" not in said


@pytest.mark.parametrize("page", ["<html>Log in</html>", "", "[1, 2]", '{"pipelines": 3}'])
def test_what_is_no_answer_of_kubeflow_is_none(project: Project, page: str) -> None:
    """Nothing was deployed, and nothing says so."""
    project.api.page = page
    for words in (("deploy", "pipeline.py", "-t", "kubeflow"), ("status", "kubeflow:nightly/x")):
        said = project.levada(*words, code=1)
        assert "new " not in said
        assert "not from the API" in said or "no run" in said


def test_who_has_to_log_in_is_told_at_once(project: Project) -> None:
    project.api.refuses = 401
    project.api.page = "Unauthorized"
    said = project.levada("deploy", "pipeline.py", "-t", "kubeflow", code=1)
    assert "answered 401" in said
    assert "token_env" in said
