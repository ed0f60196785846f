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
_HEAD = re.compile(r"^\[[0-9T:.+ -]+\] \{([\w.]+):\d+\} ([A-Z]+) - ")
#: Who writes a line: the source file in a log of 2.x.
_FILES = {
    "subprocess.py": "process",
    "docker.py": "docker",
    "pod.py": "pod",
    "pod_manager.py": "pod",
    **dict.fromkeys(
        (
            *("", "local_task_job_runner.py", "standard_task_runner.py"),
            *("task_command.py", "taskinstance.py", "baseoperator.py", "base.py"),
        ),
        "airflow",
    ),
}
#: The same of a log of 3.x, by the name of the logger; the classes are those of the DAG file.
_LOGGERS = (
    ("process", re.compile(r".*\.SubprocessHook")),
    ("docker", re.compile(r"airflow\.task\.operators\..*\.Docker\w+")),
    ("pod", re.compile(r"airflow\.task\.operators\..*\.Pod\w+|.*\.pod_manager\.\w+")),
    ("airflow", re.compile(r"(task)?")),
)
#: What the hook that runs a process says before and after the output of that.
_PROLOGUE = re.compile(r"Tmp dir root location: |Running command: |Output:$")
_EPILOGUE = re.compile(r"Command exited with return code -?\d+$")
_DOCKERS_OWN = re.compile(r"(Starting|Stopping) docker container")
#: What a pod's containers write; other lines of these sources are about the pod.
_IN_POD = re.compile(r"\[(base|stage|program)\] ")
#: Warnings about a pod that say no more: of its sidecar, that a step has failed, and that what
#: comes after a program has not started.
_OF_THE_POD = re.compile(
    r"stderr from command|Failed to kill xcom sidecar container|Pod \S+ log read interrupted"
    r"|Container 'base': state='TERMINATED', reason='Error', exit_code=(1|65),"
    r"|Container '[\w-]+': state='WAITING', reason='PodInitializing'"
)
#: Airflow's error where the step's own stands above it.
_ABOVE = re.compile(
    r"(exit code (1|143)|error): see the log above|'StatusCode': (1|65)\}$"
    r"|^[\w.]+: Pod \S+ returned a failure"
)
_FAILED = "Task failed with exception"
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log: what ``source`` wrote, or an exception with which the task ended."""

    source: str
    text: str
    is_warning: bool = False
    error: str = ""


def entries_of_json(content: Iterable[Any]) -> Iterator[Entry]:
    """Of 3.x, which gives an object for each."""
    for each in content:
        logger = str(each.get("logger") or "")
        errors = each.get("error_detail") or ()
        last = errors[-1] if errors else None
        yield Entry(
            next((name for name, pattern in _LOGGERS if pattern.fullmatch(logger)), "other"),
            str(each.get("event", "")),
            each.get("level") in ("warning", "error", "critical"),
            f"{last['exc_type']}: {last['exc_value']}" if last else "",
        )


def entries_of_text(text: str) -> Iterator[Entry]:
    """Of 2.x, which gives the file; the lines of a traceback stand below their entry."""
    source, level, lines = "", "INFO", [""]
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head is None and not line.startswith(" INFO - ::"):
            lines.append(line)
            continue
        yield _entry(source, level, lines)
        source, level = (head[1], head[2]) if head else ("", "INFO")
        lines = [line[head.end() :] if head else line.removeprefix(" INFO - ")]
    yield _entry(source, level, lines)


def _entry(source: str, level: str, lines: list[str]) -> Entry:
    if lines[0].startswith(_FAILED):
        errors = [line for line in lines[1:] if line and not line.startswith((" ", _TRACEBACK))]
        return Entry("airflow", lines[0], error=errors[-1] if errors else "")
    return Entry(_FILES.get(source, "other"), "\n".join(lines), level not in ("INFO", "DEBUG"))


def step_lines(entries: Iterable[Entry]) -> list[str]:
    """What the step wrote, and how the task failed where that says more."""
    kept: list[str] = []
    depth, has_started = 0, False
    for entry in entries:
        text = entry.text
        if entry.source == "process":
            if not has_started and _PROLOGUE.match(text):
                has_started = text == "Output:"
            elif not _EPILOGUE.match(text):
                kept += _shown(text)
        elif entry.source == "pod" and (found := _IN_POD.match(text)):
            kept += _shown(text[found.end() :])
        elif entry.error:
            if not (kept and _ABOVE.search(entry.error)):
                kept.append(entry.error.partition("\n")[0])
        elif text.startswith(("::group::", "::endgroup::")):
            depth = depth + 1 if text.startswith("::group") else max(depth - 1, 0)
        elif _is_news(entry, depth):
            kept += _shown(text)
    return kept


def _is_news(entry: Entry, depth: int) -> bool:
    """Whether a line is worth showing that no step wrote, as far as can be told."""
    if entry.source == "pod":  # what Kubernetes says of it
        return entry.is_warning and not _OF_THE_POD.match(entry.text)
    if entry.source == "docker" and _DOCKERS_OWN.match(entry.text):
        return False
    return not depth and entry.source != "airflow"


def _shown(text: str) -> list[str]:
    return [line for line in text.split("\n") if not _is_result(line)]


def failure(entries: Iterable[Entry]) -> str:
    """Why it failed, in a line: what ended the step, else its last traceback or line."""
    entries = list(entries)
    lines = [line for line in step_lines(entries) if line.strip()]
    own = [entry.error.partition("\n")[0] for entry in entries if entry.error]
    if lines and lines[-1] in own:
        return lines[-1]
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
