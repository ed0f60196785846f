"""The record of an attempt whose process ended without writing one."""

from __future__ import annotations

import os
import signal

from levada import metric_series, records
from levada.attempt import Attempt
from levada.failures import without_traceback
from levada.log_reader import LogReader
from levada.metric_series import MetricSeries
from levada.redaction import redact_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.cache import Lookup
    from levada.record_types import ErrorKind, MetricEntry, Record
    from levada.request import StepRequest
    from levada.store import Store

#: The end of an attempt whose program, of a container step, said how it failed.
PROGRAM_FAILED = "program"
_TYPES = {
    "timeout": "TimedOut",
    "cancelled": "Cancelled",
    "killed": "ProcessKilled",
    "error": "ProgramError",
}


def record_lost(
    request: StepRequest,
    store: Store,
    *,
    looked_up: Lookup | None,
    status: int,
    end: str,
    started: int,
    message: str = "",
) -> Record:
    """Write the record of a process that ended with ``status`` (as waitpid gives it); gives it.

    ``end`` says why the engine ended it: ``timeout``, ``cancelled`` or nothing, or ``program``
    where a program said in ``message`` how it failed, which is then its log also; ``started`` is
    the time at which it was started, in nanoseconds since the epoch. ``message`` says how it ended
    where that is known better than by its status.
    """
    attempt = Attempt(request, store)
    attempt.started = started
    attempt.looked_up = looked_up
    attempt.metrics = _metrics(store, request.folder)
    kind, found = _cause(status, end, request.settings.get("timeout"))
    text = message if message and end in ("", PROGRAM_FAILED) else found
    attempt.error = without_traceback(_TYPES[kind], text, kind, permanent=False)
    record = attempt.record(records.CANCELLED if kind == "cancelled" else records.FAILED)
    if end == PROGRAM_FAILED:  # nobody else has written its log
        shown = redact_text(text, attempt.secrets.values())
        store.write_once(f"{request.folder}/log", f"{shown}\n".encode("utf-8", "backslashreplace"))
    records.write_record(store, record)
    return record


def _metrics(store: Store, folder: str) -> list[MetricEntry]:
    """What the attempt had logged until then; from now on that is in its record."""
    series = MetricSeries()
    for value in metric_series.lines(LogReader(store, folder, metric_series.FILE).new()):
        series.add(value)
    store.delete(f"{folder}/{metric_series.FILE}")
    return series.entries(store)


def _cause(status: int, end: str, timeout: float | None) -> tuple[ErrorKind, str]:
    """The kind of the error, and a sentence."""
    if end == PROGRAM_FAILED:
        return "error", "the program failed"
    if end == "timeout":
        return "timeout", f"the attempt took longer than its timeout of {timeout:g} s"
    if end == "cancelled":
        return "cancelled", "the run was cancelled"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = " (out of memory?)" if number == signal.SIGKILL else ""
        return "killed", f"the step's process was ended by {_signal_name(number)}{hint}"
    code = os.waitstatus_to_exitcode(status)
    return "killed", f"the step's process ended by itself with exit code {code} (os._exit?)"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
