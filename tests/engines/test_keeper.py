"""What an engine started is gone when the tests are, however they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .keeper import Keeper, ProcessEndedError

if TYPE_CHECKING:
    from collections.abc import Callable

# Its child leaves the session, is orphaned, has an empty environment, and ignores SIGTERM.
ENGINE = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], "w").write(str(os.getpid()))
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"], {})
    os._exit(0)
time.sleep(600)
"""

TESTS = """
import sys, time
from pathlib import Path
from tests.engines.keeper import Keeper
engine, orphan, log, folder = sys.argv[1:]
keeper = Keeper()
keeper.discard(Path(folder))
keeper.start("engine", [sys.executable, "-c", engine, orphan], env={}, log=Path(log))
time.sleep(600)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_tests(end: signal.Signals, tmp_path: Path) -> None:
    orphan = tmp_path / "orphan"
    (folder := tmp_path / "home").mkdir()
    arguments = (ENGINE, str(orphan), str(tmp_path / "log"), str(folder))
    tests = subprocess.Popen(
        [sys.executable, "-c", TESTS, *arguments],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    _until(lambda: orphan.is_file() and orphan.read_text() != "")
    pid = int(orphan.read_text())
    assert _is_alive(pid)
    tests.send_signal(end)
    tests.wait()
    _until(lambda: not _is_alive(pid) and not folder.exists())


def test_a_process_that_ended_is_told_with_its_output(tmp_path: Path) -> None:
    with Keeper() as keeper:
        keeper.start("engine", ["sh", "-c", "echo no; exit 3"], env={}, log=tmp_path / "log")
        _until(lambda: (tmp_path / "log.exit").is_file())
        with pytest.raises(ProcessEndedError, match="engine ended with exit code 3:\nno"):
            keeper.check()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
