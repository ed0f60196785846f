"""What KFP's API says of a run, as the states of its steps, and of where their logs are."""

from __future__ import annotations

from datetime import UTC, datetime

from levada_compiler.client import (
    CANCELLED,
    FAILED,
    QUEUED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    StepState,
)
from levada_compiler.slotted import replace

from .run_details import Tasks
from .step_logs import UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .run_details import Place
    from .step_logs import StepLogs

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
_NO_ITEMS = "the loop has no items"
#: The beginning of a task of which the API gives no time, which is after all others.
_UNKNOWN = datetime.max.replace(tzinfo=UTC)
_DRIVER_FAILED = "KFP's driver failed before it, which `levada logs` with its name shows"


def run_status(found: Any) -> str:
    """The state of a run. One that was terminated ends as failed; its history says why."""
    status = _STATES.get(str(found.state), QUEUED)
    return CANCELLED if status == FAILED and _ending(found) else status


def step_states(found: Any, spec: Any, logs: StepLogs) -> list[StepState]:
    """Of the tasks that have begun, those of a node together, in the order of their beginning.

    The key of each holds its attempts' pods: see :mod:`.step_logs`.
    """
    details = found.run_details.task_details if found.run_details else None
    asked = [each.update_time for each in _ending(found) if each.update_time]
    begun: dict[str, Any] = {}
    steps = []
    for detail, place in Tasks(spec).of(details or []):
        step = _step_state(detail, place, asked)
        start = detail.start_time or detail.create_time or _UNKNOWN
        begun[step.node] = min(start, begun.get(step.node, start))
        steps.append(_with_log(step, place, found.run_id, logs))
    return sorted(steps, key=lambda step: (begun[step.node], step.node, step.map_index or ()))


def _with_log(step: StepState, place: Place, run_id: str, logs: StepLogs) -> StepState:
    """The step with what only its log says. KFP wants an item of some loops that have none."""
    if not step.attempt or place.is_driver:
        return step
    if place.may_be_no_item and logs.is_for_nothing(run_id, step):
        step = replace(step, status=SKIPPED, map_index=None, reason=_NO_ITEMS)
        return replace(step, attempt=0, seconds=None)
    if step.status == FAILED and not step.reason:
        return replace(step, reason=logs.why(run_id, step, step.attempt))
    return step


def _step_state(detail: Any, place: Place, asked: Sequence[Any]) -> StepState:
    status = _step_status(detail, asked)
    return StepState(
        place.node,
        status,
        place.index,
        attempt=len(place.pods),
        seconds=_seconds(detail),
        is_control=place.is_control,
        reason=_reason(detail, place, status),
        key=" ".join(",".join(pod.names) or UNKNOWN for pod in place.pods),
    )


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
