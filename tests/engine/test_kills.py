"""Any process of a run is killed at any moment: the store stays whole, and the next run is right.

LEVADA_KILLS says how many are tried.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from levada import records, values
from levada.store import open_store
from levada.trees.canonical import leaf_of

LEVADA = (sys.executable, "-m", "levada_cli.main")
KILLS = int(os.environ.get("LEVADA_KILLS") or 12)
SOURCE = """\
import time
from pathlib import Path

from levada import pipeline, step


@step
def part(i: int, folder: str) -> list[int]:
    time.sleep(0.05)
    return [i] * 3000


@step
def total(parts: list[list[int]]) -> int:
    return sum(map(sum, parts))


@step(cache=True)
def clean(folder: str) -> None:
    time.sleep(0.05)


@pipeline
def main(folder: str = "x", n: int = 4):
    try:
        return total([part(i, folder) for i in range(n)])
    finally:
        clean(folder)
"""
#: What is killed: the command, one of its children (the server), one of the children of these.
DEPTHS = ("command", "server", "step")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for each in found for below in descendants(each)]


def start(project: Path) -> subprocess.Popen[str]:
    """Start the command as the leader of a session, which all processes of the run stay in."""
    return subprocess.Popen(
        [*LEVADA, "run", "flow.py", "--store", "store", "--json"],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(command: subprocess.Popen[str], depth: str, number: int, random: Random) -> bool:
    """Send the signal to a process at this depth, if there is one."""
    found = [command.pid]
    for _ in range(DEPTHS.index(depth)):
        found = [below for each in found for below in children(each)]
    if not found or command.poll() is not None:
        return False
    try:
        os.kill(random.choice(found), number)
    except ProcessLookupError:
        return False
    return True


def left_over(pids: list[int]) -> list[int]:
    """Those of some processes that still run after a while."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pids = [pid for pid in pids if is_running(pid)]
        if not pids:
            return []
        time.sleep(0.1)
    return pids


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "flow.py").write_text(SOURCE)
    return tmp_path


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_run_that_is_killed(project: Path, seed: int) -> None:
    random = Random(seed)
    depth, number = random.choice(DEPTHS), random.choice(SIGNALS)
    command = start(project)
    time.sleep(random.uniform(0.3, 2.5))
    pids = [command.pid, *descendants(command.pid)]
    was_killed = kill(command, depth, number, random)
    output, said = command.communicate(timeout=60)
    what = f"{number.name} to the {depth}" if was_killed else "nothing"
    assert left_over(pids) == [], what
    assert "Traceback" not in said, f"{what}: {said}"
    assert "bug" not in said, f"{what}: {said}"
    if not (depth == "command" and number == signal.SIGKILL) and output:
        run = json.loads(output)
        store = open_store(str(project / "store"))
        ended = records.read_outcome(store, "main", run["run_id"])
        assert ended is not None, what
        assert ended["status"] == run["status"], what
    again = start(project)
    output, said = again.communicate(timeout=60)
    assert again.returncode == 0, f"{what}, then: {said}"
    assert json.loads(output)["outputs"] == sum(3000 * i for i in range(4)), what
    check_store(project / "store")


def check_store(folder: Path) -> None:
    """Every blob that a record names is whole."""
    store = open_store(str(folder))
    for path in sorted(folder.glob("runs/**/record.json")):
        attempt = str(path.parent.relative_to(folder))
        record = records.read_record(store, attempt)
        assert record is not None, path
        if record["returns"] is not None:
            assert values.verify(leaf_of(record["returns"]), store), path
