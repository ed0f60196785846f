"""What KFP's API says of a run, as the states of its steps, and of where their logs are."""

from __future__ import annotations

from ..client import (
    CANCELLED,
    FAILED,
    QUEUED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    StepState,
)
from .run_details import Tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .run_details import Place

_STATES = {
    "PENDING": QUEUED,
    "RUNNING": RUNNING,
    "PAUSED": RUNNING,
    "CANCELING": RUNNING,
    "SUCCEEDED": SUCCEEDED,
    "SKIPPED": SKIPPED,
    "FAILED": FAILED,
    "CANCELED": CANCELLED,
}
_DRIVER_FAILED = "KFP's driver failed before it, which `levada logs` with its name shows"


def run_status(found: Any) -> str:
    """The state of a run. One that was terminated ends as failed; its history says why."""
    status = _STATES.get(str(found.state), QUEUED)
    return CANCELLED if status == FAILED and _ending(found) else status


def step_states(found: Any, spec: Any) -> Iterator[StepState]:
    """Of the tasks that have begun, in the pipeline's order.

    The key of each holds its attempts' pods: see :func:`pod_names`.
    """
    details = found.run_details.task_details if found.run_details else None
    asked = [each.update_time for each in _ending(found) if each.update_time]
    for detail, place in Tasks(spec).of(details or []):
        status = _step_status(detail, asked)
        yield StepState(
            place.node,
            status,
            place.index,
            attempt=len(place.pods),
            seconds=_seconds(detail),
            is_control=place.is_control,
            reason=_reason(detail, place, status),
            key=" ".join(",".join(pod.names) for pod in place.pods),
        )


def pod_names(step: StepState, attempt: int) -> list[str]:
    """What an attempt may be asked for by, its node first; [] if there is no such attempt."""
    pods = step.key.split()
    return pods[attempt - 1].split(",") if 0 < attempt <= len(pods) else []


def _step_status(detail: Any, asked: Sequence[Any]) -> str:
    """KFP has no state for what Argo leaves out after a failure, which is over at once.

    What is over only after somebody asked for the run's end (``asked``) did not fail by itself.
    """
    status = _STATES.get(str(detail.state))
    if status is None:
        return SKIPPED if _is_over(detail) else WAITING
    is_late = bool(asked) and _is_over(detail) and detail.end_time >= min(asked)
    return CANCELLED if status == FAILED and is_late else status


def _ending(found: Any) -> list[Any]:
    """Where its history says that the run was to end; nothing if nobody asked for that."""
    return [each for each in found.state_history or () if str(each.state) == "CANCELING"]


def _reason(detail: Any, place: Place, status: str) -> str:
    if place.is_driver and status == FAILED:
        return _DRIVER_FAILED
    return (detail.error.message or "") if detail.error else ""


def _is_over(detail: Any) -> bool:
    """The end of what runs is 0 or before, where there is one."""
    return bool(detail.start_time and detail.end_time and detail.end_time >= detail.start_time)


def _seconds(detail: Any) -> float | None:
    if not _is_over(detail):
        return None
    return float((detail.end_time - detail.start_time).total_seconds())
