"""Runs of the local engine for `status`, `logs`, `cancel` and `retry`: from their records."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from levada import index_log, records, run_process
from levada.log_reader import LogReader
from levada_compiler.client import (
    CANCELLED,
    FAILED,
    RETRYING,
    RUNNING,
    Change,
    Client,
    ClientError,
    Compiled,
    Request,
    Run,
    RunState,
    StepState,
)

from .recorded import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from levada.plan_types import Plan
    from levada.record_types import ProcessPart, RunError, RunPlace, StepEnd
    from levada.store import Store
    from levada_records.runs import Run as StoredRun
    from levada_records.steps import Step

#: Seconds in which a run that is told to end usually has: a step has 10 to end by itself.
_PATIENCE = 15.0
_PAUSE = 0.3


class LocalTarget:
    """Stands where a target does."""

    name = "local"


class LocalClient(Client):
    """Answers for runs of the local engine from their store. It starts none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._logs: dict[tuple[str, tuple[int, ...] | None, int], _Log] = {}

    @property
    def address(self) -> str:
        """The store."""
        return self._store.url

    def read(self, run: Run) -> StoredRun:
        """Read the run as it is now. Raises ClientError if its document cannot be read."""
        from levada_records.runs import MissingRun, read_run

        try:
            found = read_run(self._store, run.pipeline, run.run_id)
        except MissingRun as error:
            raise ClientError(str(error)) from error
        if found.document is None:
            raise ClientError("; ".join(found.problems))
        return found

    def find(self, pipeline: str, run_id: str) -> Run:
        """The run of this id."""
        run = Run(pipeline, run_id)
        self.read(run)
        return run

    def status(self, run: Run) -> RunState:
        """How far it is now. A run whose process is gone has failed."""
        found = self.read(run)
        status, reason = _status(found)
        if found.is_running and status == FAILED:  # it may have ended between two looks
            found = self.read(run)
            status, reason = _status(found)
        plan = found.plan if status == RUNNING else None
        return RunState(
            run,
            status,
            tuple(_step(step, plan, is_running=status == RUNNING) for step in found.steps),
            started=found.started or "",
            finished=found.finished or ("" if status == RUNNING else _last_sign(found)),
            reason=reason,
            parameters=dict(found.params),
        )

    def ended(self, run: Run) -> bool:
        """Whether the store says how the run ended."""
        return not self.read(run).is_running

    def follow(self, run: Run) -> Iterator[RunState]:
        """How far it is, now and after each change, until it is over."""
        while True:
            began = time.monotonic()
            now = self.status(run)
            yield now
            if now.is_over:
                return
            # A run of many steps takes time to read: a third of it is enough.
            time.sleep(max(_PAUSE, 2 * (time.monotonic() - began)))

    def log(self, run: Run, step: StepState, attempt: int, first: int = 0) -> Sequence[str]:
        """The lines of an attempt's log from number ``first`` on, as far as they are there."""
        key = (step.node, step.map_index, attempt)
        place = (run.pipeline, run.run_id, step.node, step.map_index)
        held = self._logs.get(key)
        if held is None or held.count != first:
            held = _Log(self._store, records.attempt_path(*place, attempt))
            self._logs[key] = held
        before = held.count
        lines = held.lines(is_over=step.status != RUNNING or step.attempt != attempt)
        return lines[max(0, first - before) :]

    def failure(self, run: Run, step: StepState, attempt: int) -> str:
        """Why an attempt failed that is not the last one."""
        place = (run.pipeline, run.run_id, step.node, step.map_index)
        record = records.read_record(self._store, records.attempt_path(*place, attempt))
        return _why(record)

    def outputs(self, run: Run) -> Any:
        """What the pipeline returned."""
        return self.read(run).outputs()

    def cancel(self, run: Run) -> None:
        """Tell the run's process to end, and wait for that; of one that is gone, say so for good.

        Raises ClientError for a process of another machine, container or user, and where it is not
        certain that it is the run's.
        """
        found = self.read(run)
        process = process_of(found)
        if process is None:
            raise ClientError(
                "it does not say which process runs it", "end the command that started it"
            )
        try:
            is_alive = run_process.terminate(process)
        except ProcessLookupError:  # it has ended just now
            return
        except PermissionError as error:
            raise ClientError(
                f"the run's process {process['pid']} cannot be ended: {error}",
                "cancel it as the user that started it",
            ) from error
        if is_alive is None:
            raise _not_from_here(process)
        if not is_alive:
            self._write_end(found, process)
            return
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and run_process.is_alive(process):
            time.sleep(0.1)

    def _write_end(self, found: StoredRun, process: ProcessPart) -> None:
        """Write the outcome of a run whose process is gone, so that it no longer seems to run."""
        from levada.failures import without_traceback

        error = without_traceback("ProcessKilled", _gone(found, process), "killed", permanent=False)
        place: RunPlace = {"node": None, "map_index": None, "context": None}
        run_error: RunError = {**error, **place}
        outcome = records.outcome(
            found.pipeline,
            found.run_id,
            status=records.CANCELLED,
            seconds=_seconds(found),
            steps=[_end(step) for step in found.steps],
            error=run_error,
        )
        records.write_outcome(self._store, outcome)
        index_log.write_ended(self._store, outcome)

    # ---------------------------------------------------------------- what commands do themselves

    @property
    def folder(self) -> str | None:
        """Nothing is deployed."""
        return None

    def deploy(self, compiled: Compiled, *, dry_run: bool = False) -> Sequence[Change]:  # noqa: ARG002
        """Raise ClientError: nothing is deployed to run here."""
        raise ClientError("a pipeline is run here as it is", "levada run FILE")

    def verify(self, compiled: Compiled) -> None:
        """Raise ClientError: nothing is deployed to run here."""
        self.deploy(compiled)

    def submit(self, compiled: Compiled, request: Request) -> Run:  # noqa: ARG002
        """Raise ClientError: a run here is not submitted."""
        raise ClientError("a run here is not submitted", "levada run FILE")

    def retry(self, run: Run) -> Run:
        """Raise ClientError: a local run is tried again by a new run in the foreground."""
        again = f"levada retry {run.pipeline}/{run.run_id}"
        raise ClientError("a local run is tried again by a new run", again)


class _Log:
    """The lines of a log, as they come. ``count`` is how many were given."""

    def __init__(self, store: Store, folder: str) -> None:
        self._reader = LogReader(store, folder)
        self._rest = b""
        self.count = 0

    def lines(self, *, is_over: bool) -> list[str]:
        """What is new; the last line only once it is whole, or nothing follows."""
        *whole, self._rest = (self._rest + b"".join(self._reader.new())).split(b"\n")
        if is_over and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        self.count += len(whole)
        return [line.decode("utf-8", "replace") for line in whole]


def _not_from_here(process: ProcessPart) -> ClientError:
    """Say why nobody can tell from here whether a process is that of a run."""
    pid = process["pid"]
    if not run_process.is_here(process):
        here = os.uname().nodename
        why = f"the run is on {process['host']}, and this is {here}"
        return ClientError(why, f"cancel it there, or end its process {pid}")
    if process["started"] is None:
        why = f"it is not known when the run's process {pid} was started: it may be another one now"
    else:
        why = f"the run's process {pid} is in another container, or another machine of this name"
    return ClientError(why, "cancel it there, or end the command that started it")


def process_of(found: StoredRun) -> ProcessPart | None:
    """The process that runs, or ran, a local run; None for a run of an older Levada."""
    document = found.document
    engine: Any = document["engine"] if document is not None else {}
    process: ProcessPart | None = engine.get("process")
    return process


def _status(found: StoredRun) -> tuple[str, str]:
    """Return how a run is, and why it failed apart from its steps or what is not known of it."""
    if not found.is_running:
        error = found.error
        where = error.get("node") if error is not None else None
        reason = f"{error['type']}: {error['message']}" if error and not where else ""
        damaged = "; ".join(found.problems) if found.status == "damaged" else ""
        return (FAILED, damaged) if damaged else (found.status, reason)
    process = process_of(found)
    if process is None:
        return RUNNING, "it does not say which process runs it"
    is_alive = run_process.is_alive(process)
    if is_alive is None:
        return RUNNING, f"it runs on {process['host']}, as far as can be told from here"
    return (RUNNING, "") if is_alive else (FAILED, _gone(found, process))


def _gone(found: StoredRun, process: ProcessPart) -> str:
    return (
        f"it never ended: its process {process['pid']} is gone, and its last sign is of"
        f" {_last_sign(found)}"
    )


def _last_sign(found: StoredRun) -> str:
    """When the last of its attempts ended, or it began."""
    ends = [each.record["finished"] for each in found.attempts if each.record is not None]
    return max([found.started or "", *ends])


def _seconds(found: StoredRun) -> float:
    from datetime import datetime

    first, last = (datetime.fromisoformat(t) for t in (found.started or "", _last_sign(found)))
    return max(0.0, (last - first).total_seconds())


def _end(step: Step) -> StepEnd:
    last = step.last
    return {
        "node": step.node,
        "map_index": list(step.map_index) or None,
        "attempts": step.attempt_count,
        "status": step.status if step.record is not None else records.CANCELLED,
        "cached": step.is_cached,
        "seconds": step.seconds or 0.0,
        "record": records.record_path(last.folder) if last and last.record else None,
    }


def _step(step: Step, plan: Plan | None, *, is_running: bool) -> StepState:
    last = step.last
    record: Any = last.record if last is not None else None
    status = step.status
    if status == "damaged" or (status == RUNNING and not is_running):
        status = FAILED
    elif status == FAILED and plan is not None and _has_more(record, step, plan):
        status = RETRYING
    return StepState(
        step.node,
        status,
        step.map_index or None,
        (step.item or "") if step.map_index else "",
        attempt=last.number if last is not None else 0,
        seconds=step.seconds,
        cached=step.is_cached,
        reason=_why(record) or step.problem,
        engine=LOCAL,
    )


def _has_more(record: Any, step: Step, plan: Plan) -> bool:
    """Whether another attempt is made after one that failed, as the interpreter does it."""
    from levada.engine.definitions import calls

    form = next((each for each in calls(plan["body"]) if each["id"] == step.node), None)
    retry = form["settings"].get("retry") if form is not None else None
    error = (record or {}).get("error") or {}
    if not retry or error.get("permanent") or error.get("kind") == CANCELLED:
        return False
    return bool(step.last is not None and step.last.number <= retry.get("count", 0))


def _why(record: Any) -> str:
    error = (record or {}).get("error")
    return f"{error['type']}: {error['message']}" if error else ""
