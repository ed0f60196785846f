"""What a pod's state is taken for, with states as a kubelet writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from levada.driver import pods


def pod(phase: str = "Failed", reason: str = "", **state: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": phase, "containerStatuses": [{"state": state}]}
    return {"status": status | ({"reason": reason} if reason else {})}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (pod("Running"), None),
        (pod("Pending", waiting={"reason": "ContainerCreating"}), None),
        (pod("Pending"), None),
        (
            pod("Pending", waiting={"reason": "ErrImagePull", "message": "no such image"}),
            ("stuck", "ErrImagePull: no such image"),
        ),
        (
            pod("Pending", waiting={"reason": "CreateContainerConfigError", "message": "secret"}),
            ("stuck", "CreateContainerConfigError: secret"),
        ),
    ],
)
def test_trouble(state: dict[str, Any], expected: tuple[str, str] | None) -> None:
    found = pods.trouble(state)
    assert (found and (found.kind, str(found))) == expected


def test_no_node() -> None:
    state = pod("Pending")
    state["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}
    ]
    found = pods.trouble(state)
    assert found is not None
    assert (found.kind, str(found)) == ("unschedulable", "Unschedulable: 0/3")


@pytest.mark.parametrize(
    ("state", "end", "said"),
    [
        (
            pod(terminated={"exitCode": 137, "reason": "OOMKilled"}),
            "",
            "OOMKilled: the step used more memory than its limit of 64Mi (resources.memory)"
            " (exit code 137)",
        ),
        (pod(terminated={"exitCode": 139, "reason": "Error"}), "", ""),
        (
            pod(terminated={"exitCode": 127, "reason": "StartError", "message": "no python"}),
            "",
            "the step's container ended with exit code 127 and left no record: a program of an"
            " image without Levada is a step made by `container(…)` (StartError: no python)",
        ),
        (pod(reason="DeadlineExceeded", terminated={"exitCode": 137}), "timeout", ""),
        (
            pod(reason="UnexpectedAdmissionError"),
            "",
            "its pod failed before the step ran: UnexpectedAdmissionError",
        ),
        (None, "", "its pod is gone, and left no record (BackoffLimitExceeded: gone)"),
    ],
)
def test_lost(state: dict[str, Any] | None, end: str, said: str) -> None:
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    job = {"status": {"conditions": [failed | {"message": "gone"}]}}
    found = pods.lost(state, job, "64Mi")
    assert (found.end, found.message) == (end, said)


def of_program(name: str, **ended: Any) -> dict[str, Any]:
    """A pod of a container step, one of whose init containers failed."""
    found = pod(waiting={"reason": "PodInitializing"})
    started = {"name": "stage", "state": {"terminated": {"exitCode": 0}}}
    before = [] if name == "stage" else [started]
    failed = {"name": name, "state": {"terminated": ended}}
    found["status"]["initContainerStatuses"] = [*before, failed]
    return found


@pytest.mark.parametrize(
    ("state", "end", "said"),
    [
        (
            of_program("program", exitCode=3, reason="Error", message="no rows\n"),
            "program",
            "the program ended with exit code 3: no rows",
        ),
        (
            of_program("program", exitCode=137, reason="OOMKilled"),
            "",
            "OOMKilled: the step used more memory than its limit of 64Mi (resources.memory)"
            " (exit code 137)",
        ),
        (
            of_program("program", exitCode=128, reason="StartError", message="no such file"),
            "program",
            "the image cannot run this: no such file",
        ),
        (
            of_program("stage", exitCode=1, reason="Error"),
            "program",
            "the inputs of the program could not be handed over",
        ),
    ],
)
def test_lost_programs(state: dict[str, Any], end: str, said: str) -> None:
    found = pods.lost(state, {}, "64Mi")
    assert (found.end, found.message) == (end, said)


def test_a_program_whose_image_is_not_there() -> None:
    state = pod("Pending", waiting={"reason": "PodInitializing"})
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    state["status"]["initContainerStatuses"] = [{"name": "program", "state": {"waiting": waiting}}]
    found = pods.trouble(state)
    assert found is not None
    assert (found.kind, str(found)) == ("stuck", "ImagePullBackOff: no such image")


def test_lost_as_the_first_process_of_the_container_saw_it() -> None:
    lost = {"status": 9, "end": "", "memory": {"peak": 64 * 2**20}}
    message = json.dumps({"lost": lost})
    found = pods.lost(pod(terminated={"exitCode": 137, "message": message}), {}, "64Mi")
    assert "it had 64 MiB at its peak" in found.message


@pytest.mark.parametrize("text", ["", "no json", "[]", "1"])
def test_a_message_that_is_not_ours(text: str) -> None:
    assert pods.message(pod(terminated={"exitCode": 1, "message": text})) == {}
