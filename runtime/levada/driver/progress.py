"""Tells people how a run goes: lines in the driver's log, and an annotation of its Job."""

from __future__ import annotations

import json
import sys
import time

from levada.engine import events
from levada.engine.events import node_label

from . import jobs
from .api import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada.engine import Event, Outcome
    from levada.record_types import RunError

    from .api import Api
    from .jobs import Key

#: Seconds between two changes of the annotation, and how many more while there is much to do.
_INTERVAL = 2.0
_BUSY = 8.0
#: Labels of nodes that the annotation lists at most.
_LISTED = 20
#: Characters of the run's outputs that it has at most.
_LONGEST_OUTPUTS = 8192
#: What has no Job of its own.
_WITHOUT_JOB = {events.NODE_CACHED: "cached", events.NODE_SKIPPED: "skipped"}
_MOST_WITHOUT_JOB = 200
_COUNTED = {
    events.NODE_FINISHED: "succeeded",
    events.NODE_CACHED: "cached",
    events.NODE_FAILED: "failed",
    events.NODE_SKIPPED: "skipped",
    events.RETRY: "retried",
}


class Progress:
    """Takes the events of a run. ``waiting`` says what keeps attempts from starting.

    Without ``shows_outputs`` the annotation does not have what the pipeline returned. A driver has
    no secrets, so it cannot mask those that a step may return (`allow_secret_output`).
    """

    def __init__(
        self, api: Api, job: str, waiting: Mapping[Key, str], *, shows_outputs: bool = True
    ) -> None:
        self._api = api
        self._shows_outputs = shows_outputs
        self._job = job
        self._waiting = waiting
        self._counts: dict[str, int] = {}
        self._running: dict[str, int] = {}
        self._end: dict[str, object] = {"status": "running"}
        self._without_job: list[list[object]] = []
        self._told = ""
        self._next = 0.0

    def take(self, event: Event) -> None:
        """Say it, and count it."""
        if event.kind in _COUNTED:
            word = _COUNTED[event.kind]
            self._counts[word] = self._counts.get(word, 0) + 1
        if event.kind == events.NODE_STARTED:
            self._running[event.name] = event.attempt or 1
        elif event.node is not None:
            self._running.pop(event.name, None)
        if event.kind in _WITHOUT_JOB and len(self._without_job) < _MOST_WITHOUT_JOB:
            listed: list[object] = [event.node, list(event.map_index or ())]
            listed.append(_WITHOUT_JOB[event.kind])
            if label := event.details.get("item"):
                listed.append(label)
            self._without_job.append(listed)
        if event.kind == events.RUN_FINISHED:
            self._end = _end_of(event.details["outcome"], shows_outputs=self._shows_outputs)
        _say(_line(event))
        for text in event.details.get("warnings") or ():
            _say(f"warning: {event.name}: {text}")
        if event.kind == events.RUN_FINISHED:
            self._tell()

    def look(self, is_idle: bool) -> None:
        """Change the annotation now and then: what is ready to start comes first."""
        if time.monotonic() >= self._next + (0.0 if is_idle else _BUSY):
            self._tell()

    def _tell(self) -> None:
        """Change the annotation if there is something new."""
        text = json.dumps(self._shown(), separators=(",", ":"))
        if text == self._told:
            return
        self._next = time.monotonic() + _INTERVAL
        try:
            self._api.patch("jobs", self._job, {"metadata": {"annotations": {jobs.PROGRESS: text}}})
        except ApiError:
            return  # the next time will do
        self._told = text

    def _shown(self) -> dict[str, object]:
        running = list(self._running)
        return {
            **self._end,
            **self._counts,
            "running": running[:_LISTED],
            "more_running": max(0, len(running) - _LISTED),
            "without_job": self._without_job,
            "waiting": [text[:300] for text in list(self._waiting.values())[:_LISTED]],
        }


def _end_of(outcome: Outcome, *, shows_outputs: bool) -> dict[str, object]:
    """How it ended: the error, or what was returned, where that is short."""
    error = outcome.error
    end: dict[str, object] = {"status": outcome.status, "run_id": outcome.run_id}
    if error:
        end["error"] = f"{_place(error)}: {error['message']}"[:2000]
    if not shows_outputs:
        return end
    shown = {"outputs": outcome.displayed_outputs()}
    return end | (shown if len(json.dumps(shown)) <= _LONGEST_OUTPUTS else {})


def _place(error: RunError) -> str:
    """Where a run failed; a failure outside of all nodes is the run's."""
    if error["node"] is None:
        return "the run"
    return node_label(error["node"], error["map_index"], error.get("label", ""))


def _line(event: Event) -> str:
    details = event.details
    where = f"{event.name} (attempt {event.attempt})" if event.attempt else event.name
    if event.kind == events.RUN_FINISHED:
        outcome = details["outcome"]
        ended = outcome.error
        why = f": {_place(ended)}: {ended['message']}" if ended else ""
        return f"run {outcome.run_id} {outcome.status}{why}"
    if event.kind == events.CANCELLING:
        return f"the run is cancelled: {details['reason']}"
    if event.kind == events.WARNING:
        return f"warning: {details['text']}"
    error = details.get("error")
    why = f": {error.get('type')}: {error.get('message')}" if error else ""
    wait = f", in {details['delay']:g} s" if event.kind == events.RETRY else ""
    return f"{event.kind} {where}{wait}{why}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
