"""Airflow's states of runs and tasks, as those of a run and its steps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from levada_compiler import client as protocol
from levada_compiler.client import StepState
from levada_compiler.slotted import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_RUN_STATES = {
    "queued": protocol.QUEUED,
    "running": protocol.RUNNING,
    "success": protocol.SUCCEEDED,
    "failed": protocol.FAILED,
}
#: Of task instances; whatever else there may be waits.
_STATES = {
    "running": protocol.RUNNING,
    "restarting": protocol.RUNNING,
    "deferred": protocol.RUNNING,
    "success": protocol.SUCCEEDED,
    "failed": protocol.FAILED,
    "upstream_failed": protocol.SKIPPED,
    "skipped": protocol.SKIPPED,
    "up_for_retry": protocol.RETRYING,
    "queued": protocol.QUEUED,
}
_NOT_STARTED = frozenset((protocol.WAITING, protocol.QUEUED, protocol.SKIPPED))
#: What decides, lists or waits: the classes of the file, in containers and pods with a word before.
_CONTROL = re.compile("(Docker|Pod)?(Branch|EmptyOperator|Except|Finally|Items|ItemsAfter|Outputs)")
#: How the note of a run begins that was ended from here: Airflow has no such state.
_CANCELLED = "Cancelled by levada"
#: Airflow refuses a longer note.
_LONGEST_NOTE = 1000


def run_status(run: Mapping[str, Any]) -> str:
    """The status of a run as Airflow gives it."""
    status = _RUN_STATES.get(run["state"], protocol.RUNNING)
    is_cancelled = status == protocol.FAILED and _note(run).startswith(_CANCELLED)
    return protocol.CANCELLED if is_cancelled else status


def cancelled_note(running: Sequence[StepState]) -> str:
    """The note of a run that is cancelled while these steps run."""
    names = ", ".join(map(_label, running))
    note = f"{_CANCELLED} while it ran: {names}" if names else f"{_CANCELLED}."
    return note if len(note) <= _LONGEST_NOTE else f"{note[: _LONGEST_NOTE - 1]}…"


def steps(
    run: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    reason: Callable[[StepState], str],
) -> Iterator[StepState]:
    """The tasks in the order in which they started, those of a loop together by map index.

    ``reason`` says why one failed.
    """
    ended = _ended_by_cancelling(run)
    starts: dict[str, str] = {}
    for task in tasks:
        has_run = _STATES.get(task["state"] or "", protocol.WAITING) not in _NOT_STARTED
        start = (has_run and task["start_date"]) or "~"  # after every date
        starts[task["task_id"]] = min(start, starts.get(task["task_id"], "~"))
    in_order = sorted(
        (task for task in tasks if task["state"] != "removed"),
        key=lambda task: (starts[task["task_id"]], task["task_id"], task["map_index"]),
    )
    for task in in_order:
        found = _step(task)
        if found.status == protocol.FAILED and (ended is None or _label(found) in ended):
            yield replace(found, status=protocol.CANCELLED)
        elif found.status in (protocol.FAILED, protocol.RETRYING):
            yield replace(found, reason=reason(found))
        else:
            yield found


def _step(task: Mapping[str, Any]) -> StepState:
    state = task["state"] or ""
    status = _STATES.get(state, protocol.WAITING)
    attempt = task["try_number"] or 0
    index = (task["map_index"],) if task["map_index"] >= 0 else None
    label = str(task.get("rendered_map_index") or "")
    return StepState(
        task["task_id"],
        status,
        index,
        # Between attempts Airflow forgets the name, and gives the index in its place.
        label if index and label != str(index[0]) else "",
        max(attempt - 1, 0) if status in _NOT_STARTED else attempt,
        None if status in _NOT_STARTED else task["duration"],
        is_control=bool(_CONTROL.fullmatch(task.get("operator") or "")),
        reason="something before it failed" if state == "upstream_failed" else "",
        engine={name: task[name] for name in ("task_id", "map_index", "try_number")},
    )


def _ended_by_cancelling(run: Mapping[str, Any]) -> frozenset[str] | None:
    """What ran when the run was cancelled; None if that is not known, and all may have."""
    if run_status(run) != protocol.CANCELLED:
        return frozenset()
    note = _note(run)
    return None if note.endswith("…") else frozenset(note.partition(": ")[2].split(", "))


def _note(run: Mapping[str, Any]) -> str:
    return str(run.get("note") or "")


def _label(step: StepState) -> str:
    return step.node if step.map_index is None else f"{step.node}[{step.map_index[0]}]"
