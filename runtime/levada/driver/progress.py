"""Tells people how a run goes: lines in the driver's log, and an annotation of its Job."""

from __future__ import annotations

import json
import sys
import time

from levada.engine import events

from . import jobs
from .api import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from levada.engine import Event

    from .api import Api

#: Seconds between two changes of the annotation.
_INTERVAL = 2.0
#: Labels of nodes that the annotation lists at most.
_LISTED = 20
_COUNTED = {
    events.NODE_FINISHED: "succeeded",
    events.NODE_CACHED: "cached",
    events.NODE_FAILED: "failed",
    events.NODE_SKIPPED: "skipped",
    events.RETRY: "retried",
}


class Progress:
    """Takes the events of a run. ``waiting`` says what keeps attempts from starting, by Job."""

    def __init__(self, api: Api, job: str, waiting: Mapping[str, str]) -> None:
        self._api = api
        self._job = job
        self._waiting = waiting
        self._counts: dict[str, int] = {}
        self._running: dict[str, int] = {}
        self._status = "running"
        self._told = ""
        self._next = 0.0

    def take(self, event: Event) -> None:
        """Say it, and count it."""
        if event.kind in _COUNTED:
            word = _COUNTED[event.kind]
            self._counts[word] = self._counts.get(word, 0) + 1
        if event.kind == events.NODE_STARTED:
            self._running[event.label] = event.attempt or 1
        elif event.node is not None:
            self._running.pop(event.label, None)
        if event.kind == events.RUN_FINISHED:
            self._status = event.details["outcome"].status
        _say(_line(event))
        self.tell(now=event.kind == events.RUN_FINISHED)

    def tell(self, *, now: bool = False) -> None:
        """Change the annotation if there is something new, not too often."""
        if not now and time.monotonic() < self._next:
            return
        text = json.dumps(self._shown(), separators=(",", ":"))
        if text == self._told:
            return
        self._next = time.monotonic() + _INTERVAL
        try:
            self._api.patch("jobs", self._job, {"metadata": {"annotations": {jobs.PROGRESS: text}}})
        except ApiError:
            return  # the next time will do
        self._told = text

    def _shown(self) -> dict[str, Any]:
        running = list(self._running)
        return {
            "status": self._status,
            **self._counts,
            "running": running[:_LISTED],
            "more_running": max(0, len(running) - _LISTED),
            "waiting": [text[:300] for text in list(self._waiting.values())[:_LISTED]],
        }


def _line(event: Event) -> str:
    details = event.details
    where = f"{event.label} (attempt {event.attempt})" if event.attempt else event.label
    if event.kind == events.RUN_FINISHED:
        outcome = details["outcome"]
        error = outcome.error or {}
        why = f": {error.get('node')}: {error.get('message')}" if error else ""
        return f"run {outcome.run_id} {outcome.status}{why}"
    if event.kind == events.CANCELLING:
        return f"the run is cancelled: {details['reason']}"
    error = details.get("error") or {}
    why = f": {error.get('type')}: {error.get('message')}" if error else ""
    wait = f", in {details['delay']:g} s" if event.kind == events.RETRY else ""
    return f"{event.kind} {where}{wait}{why}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
