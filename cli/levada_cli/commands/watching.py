"""A run somewhere else as the events that :class:`.progress.Progress` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from levada.engine import events
from levada.engine.events import Event
from levada_compiler.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from levada.engine.event_types import EventDetails, SaidError
    from levada_compiler.client import Client, Run, RunState, StepState

    from .recorded import Recorded

    Key = tuple[str, tuple[int, ...] | None]

_WAITING = ("waiting", "queued")
_STARTED = ("running", "retrying", "succeeded", "failed", "cancelled")


class Watch:
    """Follows a run to its end, and tells what changed from one state to the next."""

    def __init__(
        self,
        client: Client,
        run: Run,
        recorded: Recorded,
        show: Callable[[Event], None],
        *,
        logs: bool,
    ) -> None:
        """``logs`` asks for what the steps write, too."""
        self._client = client
        self._run = run
        self._recorded = recorded
        self._show = show
        self._logs = logs
        self._attempts: dict[Key, int] = {}  # the last one that was said to have started
        self._ended: dict[Key, int] = {}  # the last one that was said to be over
        self._lines: dict[tuple[Key, int], int] = {}
        self._reasons: dict[Key | None, str] = {}  # why it waits, as it was said

    def follow(self) -> RunState:
        """Show all that happens until the run is over, and give its last state."""
        run = self._run
        self._show(Event(events.RUN_STARTED, pipeline=run.pipeline, run_id=run.run_id))
        last = None
        for last in self._client.follow(run):
            if not last.is_over:
                self._tell_reason(None, last.reason)
            for step in last.steps:
                self._step(step)
        return last or self._client.status(run)

    def _tell_reason(self, key: Key | None, reason: str, label: str = "") -> None:
        """Say why something waits, whenever that is another reason."""
        if reason and self._reasons.get(key) != reason:
            self._reasons[key] = reason
            self._show(Event(events.WAITING, *(key or ()), reason=reason, item=label))

    def _step(self, step: StepState) -> None:
        if step.status in _WAITING:
            self._tell_reason((step.node, step.map_index), step.reason, step.label)
        if step.status not in _STARTED or (step.is_control and step.status != "failed"):
            return
        if step.is_control or not step.attempt:  # nothing that anybody saw starting
            self._end_at_once(step)
            return
        key = (step.node, step.map_index)
        attempt = step.attempt
        if self._ended.get(key, 0) >= attempt:
            return
        self._catch_up(step, key, attempt)
        if self._attempts.get(key, 0) < attempt and not step.cached:
            self._attempts[key] = attempt
            self._tell(events.NODE_STARTED, step, attempt)
        if self._logs:
            self._tell_log(step, key, attempt)
        if step.status != "running":
            self._ended[key] = attempt
            self._end(step, attempt)

    def _end_at_once(self, step: StepState) -> None:
        key = (step.node, step.map_index)
        if step.status in ("failed", "cancelled") and key not in self._ended:
            self._ended[key] = step.attempt
            error = error_of_step(step)
            self._show(Event(events.NODE_FAILED, *key, None, error=error, item=step.label))

    def _catch_up(self, step: StepState, key: Key, attempt: int) -> None:
        """An attempt that ended since the last look, with the next one already on its way."""
        before = self._attempts.get(key, 0)
        if before and before < attempt and self._ended.get(key, 0) < before:
            if self._logs:
                self._tell_log(step, key, before)
            reason = self._client.failure(self._run, step, before)
            self._tell(events.ATTEMPT_FAILED, step, before, error=error_of(reason))

    def _end(self, step: StepState, attempt: int) -> None:
        step = self._recorded.enriched(step)
        if step.status == "succeeded":
            kind = events.NODE_CACHED if step.cached else events.NODE_FINISHED
            metrics = (self._recorded.of(step) or {}).get("metrics")
            self._tell(kind, step, attempt, seconds=step.seconds, metrics=metrics)
            return
        error = error_of_step(step)
        self._tell(events.ATTEMPT_FAILED, step, attempt, seconds=step.seconds, error=error)
        if step.status != "retrying":
            self._tell(events.NODE_FAILED, step, attempt, error=error)

    def _tell_log(self, step: StepState, key: Key, attempt: int) -> None:
        first = self._lines.get((key, attempt), 0)
        try:
            lines = self._client.log(self._run, step, attempt, first)
        except ClientError as error:  # the run goes on, and so does this
            lines = [f"its log cannot be read: {error}"]
        if lines:
            self._lines[key, attempt] = first + len(lines)
            self._tell(events.LOG, step, attempt, text="\n".join(lines))

    def _tell(
        self, kind: str, state: StepState, attempt: int, **details: Unpack[EventDetails]
    ) -> None:
        if state.label:
            details["item"] = state.label
        self._show(Event(kind, state.node, state.map_index, attempt, **details))


def error_of_step(step: StepState) -> SaidError:
    """Why a step failed, in the form that the engine's events have it."""
    return error_of(step.reason or ("" if step.status == "failed" else step.status))


def error_of(reason: str) -> SaidError:
    """The same of a reason, which may begin with the name of an exception."""
    kind, _, message = reason.partition(": ")
    if message and kind.isidentifier():
        return {"type": kind, "message": message}
    return {"message": reason}
