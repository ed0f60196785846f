"""Time whole processes side by side: A B A B, so that a busy moment falls on all of them.

Beside the wall time stands the CPU time (user and system, of the process and all that it waited
for), which says more on a machine that others use too.
"""

import os
import resource
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT = 900  # seconds for one process


class CannotRunError(Exception):
    """A subject failed, or did something else than what is compared."""


@dataclass(frozen=True)
class Places:
    """Where one run of a subject reads and writes."""

    work: Path  # kept between the runs of a subject
    fresh: Path  # empty at each run
    bin: Path  # of the tool's environment

    def fill(self, text: str) -> str:
        for name in ("work", "fresh", "bin"):
            text = text.replace("{" + name + "}", str(getattr(self, name)))
        return text


@dataclass(frozen=True)
class Subject:
    """A command to time; `{work}`, `{fresh}` and `{bin}` stand for its places."""

    name: str
    command: list[str]
    check: Callable[[Places, str], None]  # raises CannotRunError, given what the command printed
    engine: str = ""  # its environment in `engines`; none: the one that runs the benchmarks
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # written into `{work}` beforehand
    reported: Callable[[str], float] | None = None  # the seconds that it prints, to use instead


@dataclass
class Result:
    """The wall and CPU times of a subject, or why there are none."""

    subject: Subject
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    error: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu_seconds)


class Bench:
    """A subject with its places, ready to be run again and again."""

    def __init__(self, subject: Subject, work: Path, bin_folder: Path) -> None:
        self.result = Result(subject)
        self.work, self.bin = work, bin_folder
        work.mkdir(parents=True)
        for name, text in subject.files.items():
            (work / name).write_text(text)

    def attempt(self, *, timed: bool, checked: bool = True) -> None:
        """Run once; a subject that failed is not run again."""
        if self.result.error:
            return
        try:
            seconds, cpu_seconds = self._once(checked=checked)
        except CannotRunError as error:
            self.result.error, self.result.seconds = str(error), []
        else:
            self.result.seconds += [seconds] if timed else []
            self.result.cpu_seconds += [cpu_seconds] if timed else []

    def _once(self, *, checked: bool) -> tuple[float, float]:
        subject = self.result.subject
        fresh = Path(tempfile.mkdtemp(prefix="run-", dir=self.work.parent))
        places = Places(self.work, fresh, self.bin)
        try:
            command = [places.fill(word) for word in subject.command]
            env = {name: places.fill(value) for name, value in subject.env.items()}
            before = _cpu_seconds()
            seconds, output = timed_process(command, _environment(places) | env, self.work)
            cpu_seconds = _cpu_seconds() - before
            if checked:
                subject.check(places, output)
            if subject.reported:
                seconds = subject.reported(output)
        finally:
            shutil.rmtree(fresh)
        return seconds, cpu_seconds


def side_by_side(benches: list[Bench], runs: int, warm_ups: int) -> list[Result]:
    """Warm up, then time every subject once a round."""
    for number in range(1, warm_ups + 1):
        for bench in benches:
            bench.attempt(timed=False, checked=number == warm_ups)
    for _ in range(runs):
        for bench in benches:
            bench.attempt(timed=True)
    return [bench.result for bench in benches]


def timed_process(command: list[str], env: dict[str, str], cwd: Path) -> tuple[float, str]:
    """Seconds from before the process is made until it has ended, and what it printed."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CannotRunError(f"{command[0]}: {error.strerror}") from error
        code = _wait(process)
        seconds = time.perf_counter() - start
        output.seek(0)
        printed = output.read()
    if code == -signal.SIGKILL:
        raise CannotRunError(f"killed, after {seconds:.0f} s")
    if code:
        raise CannotRunError(f"exit {code}: {_last_line(printed)}")
    return seconds, printed


def _cpu_seconds() -> float:
    """Of all processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Block until the end: `wait(timeout)` would poll, and be up to 50 ms late."""
    timer = threading.Timer(TIMEOUT, os.killpg, [process.pid, signal.SIGKILL])
    timer.start()
    try:
        return process.wait()
    finally:
        timer.cancel()


def _last_line(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing printed"


def _environment(places: Places) -> dict[str, str]:
    """The same small environment for all: nobody's settings, no colours, a home of its own."""
    return {
        "PATH": f"{places.bin}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(places.work),
        "LANG": "C.UTF-8",
        "USERNAME": "benchmarks",
        "NO_COLOR": "1",
    }
