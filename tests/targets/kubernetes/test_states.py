"""What a run's objects are taken for, by who follows it from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from levada_backends.kubernetes import states
from levada_compiler.client import Run

RUN = Run("churn", "churn-1-0123abcd")


def job(node: str = "train", attempt: int = 1, index: str = "", **status: Any) -> dict[str, Any]:
    annotations = {"levada.dev/node": node, "levada.dev/attempt": str(attempt)}
    if index:
        annotations["levada.dev/map-index"] = index
    metadata = {"name": f"{node}-{index}-{attempt}", "annotations": annotations, "uid": "u"}
    spec = {"template": {"spec": {"containers": [{}]}}}
    return {"metadata": metadata, "spec": spec, "status": status}


def pod(of: dict[str, Any], phase: str, **state: Any) -> dict[str, Any]:
    labels = {"batch.kubernetes.io/job-name": of["metadata"]["name"]}
    status = {"phase": phase, "containerStatuses": [{"state": state}]}
    return {"metadata": {"name": "p", "labels": labels}, "status": status}


def ended(of: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    message = json.dumps({"record": record})
    return pod(of, "Succeeded", terminated={"exitCode": 0, "message": message})


def driver(progress: dict[str, Any], **status: Any) -> dict[str, Any]:
    annotations = {"levada.dev/progress": json.dumps(progress)}
    metadata = {"name": "churn-1", "uid": "0123abcd-1", "annotations": annotations}
    return {"metadata": metadata, "spec": {}, "status": status}


FAILED = {"conditions": [{"type": "Failed", "status": "True", "message": "of no use"}]}


@pytest.mark.parametrize(
    ("of_run", "status", "reason"),
    [
        (driver({}), "queued", ""),
        (driver({"status": "running"}), "running", ""),
        (driver({"status": "cancelled"}, **FAILED), "cancelled", "of no use"),
        (driver({"status": "failed", "error": "train: x"}, **FAILED), "failed", "train: x"),
        (driver({}, conditions=[{"type": "Complete", "status": "True"}]), "succeeded", ""),
    ],
)
def test_a_run(of_run: dict[str, Any], status: str, reason: str) -> None:
    found = states.of_run(RUN, of_run, [], [], [])
    assert (found.status, found.reason) == (status, reason)


def test_its_steps_by_their_last_attempts() -> None:
    first, second, other = job(index="0"), job(index="0", attempt=2), job(index="1")
    error = {"type": "ValueError", "message": "x", "permanent": False}
    pods = [
        ended(first, {"status": "failed", "error": error}),
        pod(second, "Running"),
        pod(other, "Pending", waiting={"reason": "ErrImagePull", "message": "no"}),
    ]
    progress = {"status": "running", "without_job": [["report", [], "skipped"]]}
    found = states.of_run(RUN, driver(progress), [first, second, other], pods, [])
    assert [(s.node, s.map_index, s.status, s.attempt, s.reason) for s in found.steps] == [
        ("train", (0,), "running", 2, ""),
        ("train", (1,), "waiting", 1, "ErrImagePull: no"),
        ("report", None, "skipped", 0, ""),
    ]


def test_items_have_the_labels_that_their_jobs_say() -> None:
    first, many = job(index="0"), job(node="test")
    first["metadata"]["annotations"]["levada.dev/label"] = "depth=4"
    many["metadata"]["annotations"] |= {
        "levada.dev/items": "0/1 1/1",
        "levada.dev/labels": '["lr=0.1", "lr=0.2"]',
    }
    without_job = [["fit", [0], "cached", "x=1"], ["fit", [1], "skipped"], ["end", [], "skipped"]]
    found = states.of_run(RUN, driver({"without_job": without_job}), [first, many], [], [])
    assert [(step.node, step.map_index, step.label) for step in found.steps] == [
        ("train", (0,), "depth=4"),
        ("test", (0,), "lr=0.1"),
        ("test", (1,), "lr=0.2"),
        ("fit", (0,), "x=1"),
        ("fit", (1,), ""),
        ("end", None, ""),
    ]


def test_items_of_an_indexed_job_are_steps() -> None:
    many = job(active=1, completedIndexes="0", failedIndexes="2")
    many["spec"]["completionMode"] = "Indexed"
    many["metadata"]["annotations"]["levada.dev/items"] = "0/1 1/1 2/1"
    error = {"type": "ValueError", "message": "x", "permanent": True}
    pods = [
        ended(many, {"status": "succeeded", "seconds": 1.5}),
        pod(many, "Running"),
        ended(many, {"status": "failed", "error": error}),
    ]
    for place, each in enumerate(pods):
        each["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = str(place)
    found = states.of_run(RUN, driver({"status": "running"}), [many], pods, [])
    assert [(s.map_index, s.status, s.reason) for s in found.steps] == [
        ((0,), "succeeded", ""),
        ((1,), "running", ""),
        ((2,), "failed", "ValueError: x"),
    ]
    assert states.place([many], found.steps[2], 1) == ("train--1", 2)
    assert states.place([many], found.steps[2], 2) is None


def test_a_failed_attempt_may_be_tried_again_while_the_run_goes_on() -> None:
    only = job()
    error = {"type": "ValueError", "message": "x", "permanent": False}
    pods = [ended(only, {"status": "failed", "error": error})]
    (step,) = states.of_run(RUN, driver({"status": "running"}), [only], pods, []).steps
    assert (step.status, step.reason) == ("retrying", "ValueError: x")
    (step,) = states.of_run(RUN, driver({}, **FAILED), [only], pods, []).steps
    assert step.status == "failed"


def test_one_that_left_no_record() -> None:
    only = job(**FAILED)
    pods = [pod(only, "Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})]
    (step,) = states.of_run(RUN, driver({}, **FAILED), [only], pods, []).steps
    assert "OOMKilled" in step.reason
