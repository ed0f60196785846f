"""Write what a process and its children print to a log while it runs.

The file descriptors 1 and 2 are redirected, so that subprocesses and C libraries are covered.
With nothing to hide and nobody to show it to, they are the log file itself. Otherwise a forked
process copies from pipes: it needs no thread in the step's process, and outlives its crash.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from levada.forking import fork_among_threads
from levada.redaction import Redactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CHUNK = 65_536
_UNFINISHED_LINE = 3  # exit status of the copying process


class OutputCapture:
    """Captures from :meth:`start` to :meth:`stop`.

    ``log`` is the path of the log file, or None; with ``echo`` the output is also seen where it
    went before. ``secrets`` are masked in both.
    """

    def __init__(self, log: str | None, *, echo: bool, secrets: Iterable[str]) -> None:
        self._log = os.devnull if log is None else log
        self._echo = echo
        self._secrets = list(secrets)
        self._saved: list[int] = []
        self._copier = 0
        self._control = -1
        self.unfinished_line = False  #: whether stdout, where it was echoed, ends without a newline

    def start(self) -> None:
        """Redirect the output. Raises OSError if the log cannot be written."""
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        _flush()
        self._saved = [os.dup(1), os.dup(2)]
        if self._echo or self._secrets:
            self._start_copying(log)
        else:
            os.dup2(log, 1)
            os.dup2(log, 2)
        os.close(log)
        _buffer_by_line()

    def stop(self) -> None:
        """Undo the redirection, everything copied."""
        _flush()
        for target, saved in zip((1, 2), self._saved, strict=False):
            os.dup2(saved, target)
            os.close(saved)
        self._saved = []
        if self._copier:
            self._stop_copying()

    def _start_copying(self, log: int) -> None:
        out, err, control = os.pipe(), os.pipe(), os.pipe()
        self._copier = fork_among_threads()
        if self._copier == 0:
            for pipe in (out, err, control):
                os.close(pipe[1])
            targets = self._saved if self._echo else [-1, -1]
            _copy_until_over((out[0], err[0]), control[0], log, targets, self._secrets)
        for pipe in (out, err, control):
            os.close(pipe[0])
        os.dup2(out[1], 1)
        os.dup2(err[1], 2)
        os.close(out[1])
        os.close(err[1])
        self._control = control[1]

    def _stop_copying(self) -> None:
        """Say that it is over: a process that was left behind may still hold the pipes."""
        status = 0
        with suppress(BrokenPipeError):  # it is done already: all writers are gone
            os.write(self._control, b"!")
        with suppress(ChildProcessError):  # reaped by the step itself
            status = os.waitpid(self._copier, 0)[1]
        os.close(self._control)
        self._copier = 0
        self.unfinished_line = os.waitstatus_to_exitcode(status) == _UNFINISHED_LINE


def _copy_until_over(
    sources: tuple[int, int], control: int, log: int, targets: list[int], secrets: list[str]
) -> None:
    """Run the copying process; never returns."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        status = _Copier(sources, control, log, targets, secrets).run()
    finally:
        os._exit(status)


class _Copier:
    """Copies two pipes to a log and to where they went before, secrets masked."""

    def __init__(
        self,
        sources: tuple[int, int],
        control: int,
        log: int,
        targets: list[int],
        secrets: list[str],
    ) -> None:
        self._open = dict(zip(sources, targets, strict=True))
        self._redactors = {source: Redactor(secrets) for source in sources}
        self._control = control
        self._log = log
        self._stdout = targets[0]
        self._last = b"\n"  # that stdout got

    def run(self) -> int:
        """Copy until all writers are gone, or until told that it is over. Gives the exit status."""
        from select import select

        over = False
        parent = os.getppid()
        while self._open:
            watched = [*self._open, *([] if over else [self._control])]
            ready, _, _ = select(watched, [], [], 0.0 if over else 1.0)
            if over and not ready:
                break
            for source in ready:
                if source == self._control:
                    over = True
                else:
                    self._read(source)
            over = over or os.getppid() != parent
            for source, target in self._open.items() if not ready else ():
                self._write(target, self._redactors[source].settle())
        for source, target in self._open.items():
            self._write(target, self._redactors[source].flush())
        unfinished = self._stdout >= 0 and self._last != b"\n"
        return _UNFINISHED_LINE if unfinished else 0

    def _read(self, source: int) -> None:
        chunk = os.read(source, _CHUNK)
        if chunk:
            self._write(self._open[source], self._redactors[source].feed(chunk))
        else:
            self._write(self._open.pop(source), self._redactors[source].flush())

    def _write(self, target: int, data: bytes) -> None:
        if not data:
            return
        _write_all(self._log, data)
        if target >= 0:
            _write_all(target, data)
        if target == self._stdout:
            self._last = data[-1:]


def _write_all(descriptor: int, data: bytes) -> None:
    """Write, as far as it goes: a full disk or a closed terminal must not stop the step."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        return


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # closed by the step
            continue


def _buffer_by_line() -> None:
    """Have each line seen when it is printed, although the output is no terminal."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
