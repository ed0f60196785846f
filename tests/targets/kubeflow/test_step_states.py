"""What is said of the steps of a run, by the nodes that KFP lists and by what the steps wrote.

The names are those that a real Kubeflow Pipelines gives the nodes of `goldens/fan_out.yaml`
(`test_server`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from levada_backends.kubeflow.pod_log import PodLogs
from levada_backends.kubeflow.step_logs import StepLogs, pod_names
from levada_backends.kubeflow.step_states import run_status, step_states
from levada_compiler.client import ClientError, StepState

from tests.targets.kubeflow.argo_nodes import WORKFLOW, details, executed, node

SPEC = next(yaml.safe_load_all((Path(__file__).parent / "goldens" / "fan_out.yaml").read_text()))
ITEM = "root.for-number.iteration-iterations({0}:{0}).iteration-item"
FIRST, SECOND = ITEM.format(0), ITEM.format(1)


class Logs:
    """What pods wrote, by the ids of their nodes."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = {node(name): text for name, text in texts.items()}

    def lines(self, _run_id: str, names: Sequence[str]) -> list[str]:
        """As those of a real server have it."""
        for name in names:
            if name in self._texts:
                return self._texts[name].splitlines()
        raise ClientError("there is no log")


def run(nodes: dict[str, str], **content: Any) -> Any:
    """A run with these nodes, as the client reads it."""
    own = {"run_id": "r", "state": "RUNNING", "state_history": None}
    given = own | {"run_details": {"task_details": details(nodes)}} | content

    def read(found: dict[str, Any]) -> Any:
        moments = {k: datetime.fromisoformat(v) for k, v in found.items() if k.endswith("_time")}
        fields = {"error": None, "child_tasks": None, "pod_name": None}
        return SimpleNamespace(**fields | found | moments)

    return json.loads(json.dumps(given), object_hook=read)


def states(nodes: dict[str, str], logs: dict[str, str] | None = None, **content: Any) -> Any:
    """The steps of such a run."""
    found = run(nodes, **content)
    return step_states(found, SPEC, StepLogs(cast(PodLogs, Logs(logs or {}))))


def said(steps: Sequence[StepState]) -> list[tuple[str, tuple[int, ...] | None, str]]:
    return [(step.node, step.map_index, step.status) for step in steps if not step.is_control]


def test_each_item_of_a_loop_is_told_from_the_others() -> None:
    nodes = executed(f"{FIRST}.train") | executed(f"{SECOND}.train") | executed("root.best")
    nodes[f"{SECOND}.train"] = "FAILED"
    train = [("train", (0,), "succeeded"), ("train", (1,), "failed")]
    assert said(states(nodes)) == [("best", None, "succeeded"), *train]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("depth 2", ("train", (0,), "succeeded")),
        ("nothing to do: the loop has no items", ("train", None, "skipped")),
    ],
)
def test_the_only_item_of_a_loop_may_be_none(log: str, expected: object) -> None:
    """KFP wants an item where it makes a list of what the items gave; the log says which it is."""
    (step,) = states(executed(f"{FIRST}.train"), {f"{FIRST}.train.executor": log})
    assert said([step]) == [expected]


def test_what_the_pipeline_returned_is_in_the_log_of_the_last_task() -> None:
    texts = {"root.return.executor": 'recorded\nthe pipeline returned: [1, "a"]\n'}
    logs = StepLogs(cast(PodLogs, Logs(texts)))
    (step,) = step_states(run(executed("root.return")), SPEC, logs)
    assert logs.returned("r", step) == [1, "a"]


def test_a_line_that_was_cut_off_says_not_what_was_returned() -> None:
    texts = {"root.return.executor": 'the pipeline returned: [1, "a'}
    logs = StepLogs(cast(PodLogs, Logs(texts)))
    (step,) = step_states(run(executed("root.return")), SPEC, logs)
    assert logs.returned("r", step) is None


def test_steps_without_a_time_come_last() -> None:
    found = run(executed("root.best") | executed(f"{FIRST}.train"))
    for detail in found.run_details.task_details:
        if detail.display_name == "best":
            detail.start_time = detail.end_time = detail.create_time = None
        else:
            detail.create_time = None
    steps = step_states(found, SPEC, StepLogs(cast(PodLogs, Logs({}))))
    assert [step.node for step in steps if not step.is_control] == ["train", "best"]


def test_a_step_fails_for_what_its_traceback_ends_with() -> None:
    log = """\
Traceback (most recent call last):
  File "/app/pipeline.py", line 40, in best
    raise ValueError("no scores")
ValueError: no scores
F1129 03:54:54.621935      22 main.go:49] failed to execute component: exit status 1
"""
    nodes = executed("root.best") | {"root.best": "FAILED"}
    (step,) = states(nodes, {"root.best.executor": log})
    assert (step.status, step.reason) == ("failed", "ValueError: no scores")


def test_what_comes_after_a_failure_is_skipped() -> None:
    unspecified = "RUNTIME_STATE_UNSPECIFIED"
    nodes = {"root": "FAILED", "root.best-driver": unspecified, "root.best": unspecified}
    (step,) = states(nodes)
    assert (step.status, step.attempt) == ("skipped", 0)


def test_what_is_over_after_a_run_was_to_end_is_cancelled() -> None:
    history = [{"state": "CANCELING", "update_time": "2026-01-01T00:00:03Z"}]
    nodes = executed("root.best") | {"root.best": "FAILED"}
    cancelled = {"state": "FAILED", "state_history": history}
    assert said(states(nodes, **cancelled)) == [("best", None, "cancelled")]
    assert run_status(run(nodes, **cancelled)) == "cancelled"


def test_an_attempt_that_a_retried_run_forgot_has_no_log() -> None:
    nodes = executed("root.best") | {"root.best.executor(1)": "SUCCEEDED"}
    logs = StepLogs(cast(PodLogs, Logs({"root.best.executor(1)": "second"})))
    (step,) = step_states(run(nodes), SPEC, logs)
    assert step.attempt == 2
    assert [logs.lines("r", step, attempt) for attempt in (1, 2)] == [[], ["second"]]


def test_pods_with_metadata_are_named_after_it() -> None:
    """As `addContainerExecutorTemplate` of KFP's compiler to Argo names their templates."""
    metadata = {"labels": {"team": "a"}, "annotations": {"x": "1", "y": "2"}}
    executors = {"exec-best": {"podMetadata": metadata}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    spec = {"pipeline_spec": SPEC, "platform_spec": platform}
    logs = StepLogs(cast(PodLogs, Logs({})))
    (step,) = step_states(run(executed("root.best")), spec, logs)
    number = node("root.best.executor").rpartition("-")[2]
    assert f"{WORKFLOW}-metadata-2-1-system-container-impl-{number}" in pod_names(step, 1)
