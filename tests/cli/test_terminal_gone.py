"""A run whose terminal, or whoever read its progress, is gone."""

from __future__ import annotations

import json
import os
import pty
import sys
import time
from pathlib import Path

import pytest
from levada_cli import main

from tests.cli.conftest import Project

SLOW = """
import time
from pathlib import Path
from levada import pipeline, step

@step
def slow() -> None:
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.02)

@pipeline
def small():
    slow()
"""


def outcome(project: Project) -> dict[str, str]:
    """The run's outcome, as soon as it is there; the time is only a bound for a failing test."""
    path = Path(project.folder, "store/runs/small/one/outcome.json")
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    found: dict[str, str] = json.loads(path.read_text())
    return found


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


ARGUMENTS = ("run", "pipeline.py", "--store", "store", "--run-id", "one")


@pytest.mark.usefixtures("heard_hangups")
def test_a_closed_terminal_cancels_the_run(project: Project) -> None:
    project.write("pipeline.py", SLOW)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(project.folder)
        os.execv(sys.executable, [sys.executable, "-m", "levada_cli.main", *ARGUMENTS])
    wait_for(project.folder / "started")
    os.close(terminal)
    os.waitpid(child, 0)
    assert outcome(project)["status"] == "cancelled"


def test_a_run_whose_progress_nobody_reads_goes_on(project: Project) -> None:
    project.write("pipeline.py", SLOW)
    process = project.start(*ARGUMENTS)
    wait_for(project.folder / "started")
    assert process.stderr is not None
    process.stderr.close()
    (project.folder / "go").touch()
    assert outcome(project)["status"] == "succeeded"
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 0


def test_a_store_is_not_at_fault_when_nobody_reads_on(project: Project) -> None:
    with project.start("store", "check", str(project.folder / "store"), "--json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == main.BROKEN_PIPE
