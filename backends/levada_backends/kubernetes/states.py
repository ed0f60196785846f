"""How far a run and its steps are, told from the objects of a cluster."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from levada.driver import jobs as driver_jobs
from levada.driver import pods as driver_pods
from levada_compiler.client import (
    CANCELLED,
    FAILED,
    QUEUED,
    RETRYING,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    RunState,
    StepState,
)
from levada_compiler.slotted import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from levada_compiler.client import Run

Object = dict[str, Any]
Place = tuple[str, int]
_ENDS = {"Complete": SUCCEEDED, "Failed": FAILED}


def of_run(
    run: Run,
    job: Object,
    jobs: Sequence[Object],
    pods: Sequence[Object],
    drivers: Sequence[Object],
) -> RunState:
    """The state of a run from its driver's Job, its attempts' Jobs and pods, and its driver."""
    said = progress(job)
    status = _status(job, said, drivers)
    by_job = {driver_jobs.place_of(pod): pod for pod in sorted(pods, key=_created)}
    steps = [*_steps(jobs, by_job, is_over=status in (FAILED, CANCELLED, SUCCEEDED))]
    steps += _without_job(said, {(step.node, step.map_index) for step in steps})
    times = job.get("status", {})
    return RunState(
        run,
        status,
        steps,
        started=times.get("startTime") or "",
        finished=times.get("completionTime") or _ended_at(job),
        reason=_reason(job, said, drivers),
    )


def progress(job: Object) -> Object:
    """What the driver says in its Job's annotation."""
    text = (job["metadata"].get("annotations") or {}).get(driver_jobs.PROGRESS) or "{}"
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def end_of(job: Object) -> str:
    """`succeeded` or `failed` if the Job is over, else nothing."""
    ends = (_ENDS[kind] for kind in _ENDS if driver_jobs.condition(job, kind))
    return next(ends, "")


def place(jobs: Sequence[Object], step: StepState, attempt: int) -> Place | None:
    """The Job of an attempt, and its completion index there."""
    key = (step.node, step.map_index or (), attempt)
    for job in jobs:
        if job["metadata"]["annotations"][driver_jobs.NODE] == step.node:
            keys = driver_jobs.keys_of(job)
            if key in keys:
                return job["metadata"]["name"], keys.index(key)
    return None


def _status(job: Object, said: Object, drivers: Sequence[Object]) -> str:
    ended = end_of(job)
    if ended == FAILED and said.get("status") == CANCELLED:
        return CANCELLED
    if ended:
        return ended
    has_driver = any(pod["status"].get("phase") == "Running" for pod in drivers)
    return RUNNING if said or has_driver else QUEUED


def _reason(job: Object, said: Object, drivers: Sequence[Object]) -> str:
    if "error" in said:
        return str(said["error"])
    if job["spec"].get("suspend"):
        return "the run's Job is suspended"
    for pod in drivers:
        trouble = driver_pods.trouble(pod)
        if trouble is not None:
            return f"the driver waits: {trouble}"
    failed = driver_jobs.condition(job, "Failed") or {}
    return str(failed.get("message") or "")


def _ended_at(job: Object) -> str:
    failed = driver_jobs.condition(job, "Failed") or {}
    return str(failed.get("lastTransitionTime") or "")


# ---------------------------------------------------------------------------- steps


def _steps(
    jobs: Sequence[Object], pods: Mapping[Place, Object], *, is_over: bool
) -> Iterator[StepState]:
    """The last attempt of each node and iteration, in the order in which they were started."""
    last: dict[tuple[str, tuple[int, ...]], tuple[int, Object, int, str]] = {}
    for job in sorted(jobs, key=_created):
        attempts = zip(driver_jobs.keys_of(job), driver_jobs.labels_of(job), strict=True)
        for at, ((node, index, number), label) in enumerate(attempts):
            if number >= last.get((node, index), (0,))[0]:
                last[node, index] = number, job, at, label
    for (node, index), (number, job, at, label) in last.items():
        pod = pods.get((job["metadata"]["name"], at))
        step = _step((node, index, number), job, at, pod, is_over=is_over)
        yield replace(step, label=label if index else "")


def _step(
    key: driver_jobs.Key, job: Object, at: int, pod: Object | None, *, is_over: bool
) -> StepState:
    node, index, number = key
    status, reason = _status_of_step(job, at, pod)
    if status == FAILED and not is_over and _may_retry(pod):
        status = RETRYING
    record = driver_pods.message(pod).get("record") or {} if pod is not None else {}
    return StepState(
        node,
        status,
        index or None,
        attempt=number,
        seconds=record.get("seconds") or _seconds(pod),
        cached=bool((record.get("cache") or {}).get("hit")),
        reason=reason,
        key=job["metadata"]["name"],
    )


def _status_of_step(job: Object, at: int, pod: Object | None) -> tuple[str, str]:
    said = driver_pods.message(pod) if pod is not None else {}
    record = said.get("record") or ({"status": said["status"]} if "status" in said else None)
    if record is not None:
        error = record.get("error") or {}
        return record["status"], f"{error['type']}: {error['message']}" if error else ""
    ended = _ENDS.get(driver_jobs.ended(job, at), "")
    if ended == FAILED:
        return FAILED, _lost(job, pod)
    if ended or (job["spec"].get("suspend") and driver_jobs.condition(job, "Suspended")):
        return ended or CANCELLED, ""
    trouble = driver_pods.trouble(pod) if pod is not None else None
    if trouble is not None:
        return WAITING, str(trouble)
    if pod is None:
        return WAITING, ""
    # A pod is pending until its init containers have ended, and a program is one of these.
    runs = pod["status"].get("phase") == "Running" or "running" in driver_pods.program(pod)
    return (RUNNING if runs else WAITING), ""


def _lost(job: Object, pod: Object | None) -> str:
    found = driver_pods.lost(pod, job, driver_jobs.memory_limit(job))
    return found.message or found.end or f"ended by signal {found.status}"


def _may_retry(pod: Object | None) -> bool:
    """Whether another attempt may follow: the driver has not come to it yet."""
    error = ((driver_pods.message(pod) if pod else {}).get("record") or {}).get("error") or {}
    return not error.get("permanent")


def _without_job(
    said: Object, known: set[tuple[str, tuple[int, ...] | None]]
) -> Iterator[StepState]:
    for node, index, status, *label in said.get("without_job") or ():
        place = tuple(index) or None
        if (node, place) not in known:
            is_cached = status == "cached"
            status = SUCCEEDED if is_cached else SKIPPED
            yield StepState(node, status, place, (label or [""])[0], cached=is_cached)


def _seconds(pod: Object | None) -> float | None:
    if pod is None:
        return None
    states = (driver_pods.program(pod), driver_pods.container(pod).get("state", {}))
    ended = [state["terminated"] for state in states if state.get("terminated")]
    if not ended or not ended[0].get("startedAt") or not ended[-1].get("finishedAt"):
        return None
    taken = _time(ended[-1]["finishedAt"]) - _time(ended[0]["startedAt"])
    return taken.total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _created(thing: Object) -> str:
    return str(thing["metadata"].get("creationTimestamp") or "")
