"""Which process runs a local run: it is told from any other one, or it cannot be told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import pytest
from levada import run_process

if TYPE_CHECKING:
    from levada.record_types import ProcessPart

CODE = """
import json, sys
from levada import run_process
print(json.dumps(run_process.current()), flush=True)
sys.stdin.read()
"""
linux = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="for namespaces of Linux")


@contextmanager
def started(*command: str) -> Iterator[tuple[ProcessPart, subprocess.Popen[str]]]:
    """Another process, and how it describes itself."""
    with subprocess.Popen(
        [*command, sys.executable, "-c", CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()), process
        finally:
            process.kill()


@pytest.fixture(params=["proc", "ps"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux, and a system without /proc, as macOS is."""
    if request.param == "proc" and not Path("/proc/self/stat").exists():
        pytest.skip("there is no /proc")
    if request.param == "ps":
        if which("ps") is None:
            pytest.skip("there is no ps")
        monkeypatch.setattr(run_process, "_place", lambda: "ps")


def waiting() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def described(pid: int) -> ProcessPart:
    start = run_process._start(pid)
    assert start
    started = f"{run_process._place()} {start}"
    return {"pid": pid, "host": os.uname().nodename, "started": started}


@pytest.mark.usefixtures("system")
def test_a_process_is_alive_until_it_ends() -> None:
    child = waiting()
    process = described(child.pid)
    assert run_process.is_alive(process) is True
    assert run_process.is_alive({**process, "started": f"{process['started']}0"}) is False
    assert run_process.is_alive({**process, "host": "elsewhere"}) is None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and its parent does not know
    assert run_process.is_alive(process) is False
    child.wait()
    assert run_process.is_alive(process) is False
    assert run_process.terminate(process) is False


def test_a_process_describes_itself() -> None:
    with started() as (process, child):
        assert process == described(child.pid)
        assert run_process.is_alive(process) is True
    assert run_process.is_alive(process) is False


@pytest.mark.usefixtures("system")
def test_a_process_of_which_the_start_is_not_known_is_let_alone() -> None:
    with started() as (process, child):
        unknown: ProcessPart = {**process, "started": None}
        assert run_process.is_alive(unknown) is None
        assert run_process.terminate(unknown) is None
        assert child.poll() is None


@linux
def test_a_process_in_another_container_cannot_be_told() -> None:
    apart = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if which("unshare") is None or subprocess.run([*apart, "true"], check=False).returncode:
        pytest.skip("no namespace can be made here")
    with started(*apart) as (process, _):
        assert process["pid"] < 10  # the number of another process here
        assert process["host"] == os.uname().nodename
        assert run_process.is_alive(process) is None
        assert run_process.terminate(process) is None


def test_what_ran_before_a_restart_of_the_machine_is_gone(monkeypatch) -> None:
    def alive(before: str, now: str) -> bool | None:
        monkeypatch.setattr(run_process, "_place", lambda: now)
        started = f"{before} 5"
        return run_process.is_alive(
            {"pid": 1 << 21, "host": os.uname().nodename, "started": started}
        )

    own = run_process._OF_MACHINE
    assert alive(f"boot1 {own} machine", f"boot2 {own} machine") is False
    assert alive(f"boot1 {own} machine", f"boot2 {own} other") is None  # of the same name
    assert alive(f"boot1 {own} -", f"boot2 {own} -") is None
    assert alive("boot1 4026532000 machine", f"boot2 {own} machine") is None
    assert alive("boot1", f"boot2 {own} machine") is None  # of an older Levada


@linux
@pytest.mark.parametrize("pid", [0, -1, 1 << 70])
def test_what_is_no_number_of_a_process_is_never_signalled(pid: int) -> None:
    """`kill` takes 0 and -1 for groups of processes."""
    for start in ("0", "", "None"):
        process: ProcessPart = {
            "pid": pid,
            "host": os.uname().nodename,
            "started": f"{run_process._place()} {start}",
        }
        assert run_process.terminate(process) is not True


@pytest.mark.usefixtures("system")
def test_a_process_is_asked_to_end() -> None:
    child = waiting()
    assert run_process.terminate(described(child.pid)) is True
    assert child.wait(30) == -signal.SIGTERM


@linux
def test_a_process_of_another_program_is_not_asked_to_end() -> None:
    """Who writes to the store can write anything into the document of a run."""
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            with pytest.raises(PermissionError, match=r"runs \w+, which is not Levada"):
                run_process.terminate(described(child.pid))
            assert child.poll() is None
        finally:
            child.kill()
