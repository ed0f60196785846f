"""The log of a task as what its step wrote: without Airflow's own words around it.

Every line is kept or left out by itself and those before it, so that a log that grows keeps the
numbers of its lines.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from levada_compiler.slotted import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A line of a log of 2.x: `[2026-01-02T15:04:05.678+0000] {subprocess.py:106} INFO - text`.
_HEAD = re.compile(r"^\[[0-9T:.+ -]+\] \{([\w.]+):\d+\} [A-Z]+ - ")
#: What the hook that runs a process says before and after the output of that.
_PROLOGUE = re.compile(r"Tmp dir root location: |Running command: |Output:$")
_EPILOGUE = re.compile(r"Command exited with return code -?\d+$")
#: Airflow's error where the step's own stands above it.
_ABOVE = "see the log above"
_FAILED = "Task failed with exception"
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log. ``is_output`` marks what a process wrote; ``error`` is an exception."""

    text: str
    is_output: bool = False
    is_ours: bool = False  # Airflow's own words about the task
    error: str = ""


def entries_of_json(content: Iterable[Any]) -> Iterator[Entry]:
    """Of 3.x, which gives an object for each."""
    for each in content:
        logger = str(each.get("logger") or "")
        errors = each.get("error_detail") or ()
        last = errors[-1] if errors else None
        yield Entry(
            str(each.get("event", "")),
            is_output=logger.endswith("SubprocessHook"),
            is_ours=logger in ("", "task"),
            error=f"{last['exc_type']}: {last['exc_value']}" if last else "",
        )


def entries_of_text(text: str) -> Iterator[Entry]:
    """Of 2.x, which gives the file; the lines of a traceback stand below their entry."""
    source, lines = "", [""]
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head is None and not line.startswith(" INFO - ::"):
            lines.append(line)
            continue
        yield from _entry(source, lines)
        source = head[1] if head else ""
        lines = [line[head.end() :] if head else line.removeprefix(" INFO - ")]
    yield from _entry(source, lines)


def _entry(source: str, lines: list[str]) -> Iterator[Entry]:
    is_output = source == "subprocess.py"
    if lines[0].startswith(_FAILED):
        errors = [line for line in lines[1:] if line and not line.startswith((" ", _TRACEBACK))]
        yield Entry(lines[0], is_ours=True, error=errors[-1] if errors else "")
        return
    for line in lines:
        yield Entry(line, is_output, is_ours=not is_output and source in _AIRFLOWS)


_AIRFLOWS = frozenset(
    (
        "",
        "local_task_job_runner.py",
        "standard_task_runner.py",
        "task_command.py",
        "taskinstance.py",
    )
)


def step_lines(entries: Iterable[Entry]) -> list[str]:
    """What the step wrote, and how the task failed where that says more."""
    kept: list[str] = []
    depth, has_started = 0, False
    for entry in entries:
        if entry.is_output:
            if not has_started and _PROLOGUE.match(entry.text):
                has_started = entry.text == "Output:"
            elif not _is_result(entry.text) and not _EPILOGUE.match(entry.text):
                kept.append(entry.text)
        elif entry.text.startswith("::group::"):
            depth += 1
        elif entry.text.startswith("::endgroup::"):
            depth = max(depth - 1, 0)
        elif entry.error:
            kept += [] if _ABOVE in entry.error else [entry.error]
        elif not depth and not entry.is_ours:
            kept.append(entry.text)
    return kept


def failure(entries: Iterable[Entry]) -> str:
    """Why it failed, in a line: the exception of the last traceback, else the last line."""
    lines = [line for line in step_lines(entries) if line.strip()]
    heads = [number for number, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    below = lines[heads[-1] + 1 :] if heads else []
    found = next((line for line in below if not line.startswith(" ")), None)
    return found or (lines[-1].strip() if lines else "")


def _is_result(line: str) -> bool:
    """Whether it is the answer of the step command, which is the XCom too."""
    if not line.startswith('{"outputs": ') or '"record": ' not in line:
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
