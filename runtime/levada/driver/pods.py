"""What the pod of an attempt says: how it ended, or what keeps it from starting."""

from __future__ import annotations

import json

from levada.engine.lost import PROGRAM_FAILED

from . import jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.driver.driver_types import KubernetesObject

#: Reasons of a waiting container that are part of any start.
_STARTING = ("ContainerCreating", "PodInitializing", "")
_OUT_OF_MEMORY = "OOMKilled"
#: Reasons of a container whose program the image does not have.
_NOT_STARTED = ("StartError", "ContainerCannotRun")
#: The container, before the last one, that runs the program of a container step.
PROGRAM = "program"


class Trouble:
    """What keeps an attempt from starting, in Kubernetes' own words.

    ``kind`` says which patience is for it: ``stuck`` or ``unschedulable``.
    """

    __slots__ = ("kind", "message", "reason")

    def __init__(self, kind: str, reason: str, message: str) -> None:
        self.kind = kind
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


class Lost:
    """How an attempt ended that left no record; the fields are those of ``record_lost``."""

    __slots__ = ("end", "message", "status")

    def __init__(self, status: int, end: str = "", message: str = "") -> None:
        self.status = status
        self.end = end
        self.message = message


def container(pod: KubernetesObject) -> KubernetesObject:
    """The state of the step's container."""
    found = pod.get("status", {}).get("containerStatuses") or [{}]
    return dict(found[0])


def terminated(pod: KubernetesObject) -> KubernetesObject | None:
    """How the container ended, if it did."""
    state = container(pod).get("state", {})
    ended: KubernetesObject | None = state.get("terminated")
    return ended


def program(pod: KubernetesObject) -> KubernetesObject:
    """The state of the program of a container step; empty if the pod has none, or not yet."""
    for status in pod.get("status", {}).get("initContainerStatuses") or ():
        if status["name"] == PROGRAM:
            return dict(status.get("state") or {})
    return {}


def message(pod: KubernetesObject) -> Any:
    """What the attempt said at its end: a `PodMessage`, empty if nothing."""
    try:
        said = json.loads((terminated(pod) or {}).get("message") or "{}")
    except ValueError:  # what Kubernetes itself writes there, or an image that is not ours
        return {}
    return said if isinstance(said, dict) else {}


def trouble(pod: KubernetesObject) -> Trouble | None:
    """What keeps the pod from starting; None if it runs, or is about to."""
    if pod.get("status", {}).get("phase") != "Pending":
        return None
    for status in (*pod["status"].get("initContainerStatuses", ()), container(pod)):
        waiting = status.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason") or ""
        if reason not in _STARTING:
            return Trouble("stuck", reason, waiting.get("message") or "")
    for found in pod["status"].get("conditions") or ():
        if found["type"] == "PodScheduled" and found["status"] == "False":
            return Trouble("unschedulable", found.get("reason") or "", found.get("message") or "")
    return None


def lost(pod: KubernetesObject | None, job: KubernetesObject, memory: str | None) -> Lost:
    """Why an attempt has no record, from its last pod and its Job.

    ``memory`` is the limit of the container.
    """
    if pod is None:
        return Lost(1 << 8, message=f"its pod is gone, and left no record{_of_job(job)}")
    said = message(pod).get("lost")
    if said is not None:
        out = _out_of_memory(memory, said["memory"].get("peak")) if "memory" in said else ""
        return Lost(int(said["status"]), said["end"], out)
    status = pod.get("status", {})
    if status.get("reason") == "DeadlineExceeded":
        return Lost(9, "timeout")
    before = _failed_before(pod)
    if before is not None:
        return _of_program(*before, memory)
    ended = terminated(pod)
    if ended is None:
        words = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
        return Lost(
            1 << 8, message=f"its pod failed before the step ran{': ' if words else ''}{words}"
        )
    return _of_container(ended, memory)


def _failed_before(pod: KubernetesObject) -> tuple[str, KubernetesObject] | None:
    """The name and the end of a container that failed before the last one, of a container step."""
    for status in pod.get("status", {}).get("initContainerStatuses") or ():
        ended = status.get("state", {}).get("terminated")
        if ended is not None and ended.get("exitCode"):
            return status["name"], ended
    return None


def _of_program(name: str, ended: KubernetesObject, memory: str | None) -> Lost:
    """How the program of a container step ended, with the last lines that it printed."""
    code, reason = int(ended["exitCode"]), ended.get("reason")
    said = (ended.get("message") or "").strip()
    if reason == _OUT_OF_MEMORY:
        return Lost(9, message=_out_of_memory(memory, None))
    if name != PROGRAM:
        text = "the inputs of the program could not be handed over"
    elif reason in _NOT_STARTED:
        text = "the image cannot run this"
    else:
        text = f"the program ended with exit code {code}"
    return Lost(code << 8, PROGRAM_FAILED, f"{text}: {said}" if said else text)


def _of_container(ended: KubernetesObject, memory: str | None) -> Lost:
    code = int(ended.get("exitCode") or 0)
    if ended.get("reason") == _OUT_OF_MEMORY:
        return Lost(9, message=_out_of_memory(memory, None))
    words = ": ".join(filter(None, (ended.get("reason"), ended.get("message"))))
    if code > 128:
        return Lost(code - 128)
    text = f"the step's container ended with exit code {code} and left no record"
    if ended.get("reason") in _NOT_STARTED:
        text += ": a program of an image without Levada is a step made by `container(…)`"
    return Lost(code << 8, message=f"{text} ({words})" if words else text)


def _out_of_memory(limit: str | None, peak: int | None) -> str:
    of = f"its limit of {limit} (resources.memory)" if limit else "what its node has"
    used = f"; it had {peak / 2**20:,.0f} MiB at its peak" if peak else ""
    return f"{_OUT_OF_MEMORY}: the step used more memory than {of}{used} (exit code 137)"


def _of_job(job: KubernetesObject) -> str:
    failed = jobs.condition(job, "Failed") or {}
    words = ": ".join(filter(None, (failed.get("reason"), failed.get("message"))))
    return f" ({words})" if words else ""
