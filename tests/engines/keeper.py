"""A process that keeps other processes and lets none of them outlive it.

An Airflow task may sit in a session of its own, under a worker that is gone, with an environment
that names nobody: neither a process group nor a marker in the environment finds it. So a keeper
stands between the tests and an engine. It is a *child subreaper*: whatever is orphaned below it
becomes its child, hence everything the engine ever started stays in one tree under the keeper.
When its standard input closes (the test is over, has failed, or was killed) it ends that tree.

`Keeper` is the tests' side; run as a script, this file is the keeper itself. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

_PR_SET_CHILD_SUBREAPER = 36
_GRACE = 6.0  # seconds that a process has between its stop signal and SIGKILL


class ProcessEndedError(RuntimeError):
    """A kept process is gone although the engine needs it."""


class Keeper:
    """Starts processes and, on leaving the context, ends them and all that they started."""

    def __init__(self) -> None:
        self._logs: dict[str, Path] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> int:
        """Start one process, with its output in `log`; return its process id."""
        order = {
            "command": list(command),
            "env": dict(env),
            "log": str(log),
            "stop_signal": int(stop_signal),
        }
        answer = self._ask(order)
        if "error" in answer:
            raise ProcessEndedError(f"{name} did not start: {answer['error']}")
        self._logs[name] = log
        return int(answer["pid"])

    def discard(self, folder: Path) -> None:
        """Remove the folder, or the control group, when all processes are gone."""
        self._ask({"discard": str(folder)})

    def check(self) -> None:
        """Raise, with the end of its output, if a process that was started has ended."""
        for name, log in self._logs.items():
            if (mark := _exit_mark(log)).exists():
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
                raise ProcessEndedError(f"{name} ended with {mark.read_text()}:\n{tail}")

    def stop(self) -> None:
        """End every process below the keeper and the keeper; return when all are gone."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline() or '{"error": "the keeper is gone"}'
        answer: dict[str, Any] = json.loads(line)
        return answer


def _exit_mark(log: Path) -> Path:
    return log.with_suffix(".exit")


class _Kept(NamedTuple):
    pid: int
    log: Path
    stop_signal: int


def _main() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("this kernel has no child subreapers")
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    orders = os.fdopen(0, "rb", buffering=0)  # select does not see what a buffer holds
    kept: list[_Kept] = []
    folders: list[str] = []
    while True:
        readable, _, _ = select.select([0], [], [], 0.2)
        _reap(kept)
        if readable:
            if not (line := orders.readline()):
                break
            order = json.loads(line)
            if "discard" in order:
                folders.append(order["discard"])
                answer = {}
            else:
                answer = _carry_out(order, kept)
            print(json.dumps(answer), flush=True)
    _end(kept)
    for folder in folders:
        _remove(folder)


def _remove(folder: str) -> None:
    """Remove a folder, or a control group, which the kernel may hold for a moment longer."""
    deadline = time.monotonic() + _GRACE
    while os.path.lexists(folder) and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)


def _carry_out(order: dict[str, Any], kept: list[_Kept]) -> dict[str, object]:
    log = Path(order["log"])
    _exit_mark(log).unlink(missing_ok=True)
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                order["command"],
                env=order["env"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_default_signals,
            )
    except OSError as error:
        return {"error": str(error)}
    kept.append(_Kept(process.pid, log, order["stop_signal"]))
    process.returncode = 0  # it is reaped below, with the orphans
    return {"pid": process.pid}


def _default_signals() -> None:
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)


def _reap(kept: list[_Kept]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            for one in kept:
                if one.pid == ended[0]:
                    code = os.waitstatus_to_exitcode(ended[1])
                    _exit_mark(one.log).write_text(f"exit code {code}")
                    kept.remove(one)
                    break


def _end(kept: list[_Kept]) -> None:
    for one in reversed(kept):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, one.stop_signal)
    deadline = time.monotonic() + _GRACE
    while kept and time.monotonic() < deadline:
        _reap(kept)
        time.sleep(0.05)
    while left := list(_descendants(os.getpid())):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(kept)
        time.sleep(0.02)


def _descendants(root: int) -> Iterator[int]:
    """All processes below `root`, from one look at /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # pid (name) state ppid ...; the name may hold anything
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    waiting = children.get(root, [])
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting.extend(children.get(pid, []))


if __name__ == "__main__":
    _main()
