"""``levada status``, ``logs``, ``cancel`` and ``retry`` of runs on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from levada import run_process

from .conftest import Project
from .schemas import valid

PIPELINE = """
import os, time
from levada import Retry, log_metric, pipeline, step


@step
def load() -> list[int]:
    print("loaded")
    return [0, 1]


@step(retry=Retry(count=1, delay=0))
def talk(x: int, seconds: float) -> int:
    for i in range(round(seconds * 10)):
        print(f"{x}: line {i}", flush=True)
        time.sleep(0.1)
    if x == 1 and not os.path.exists("mended"):
        raise ValueError("not mended")
    log_metric("score", x)
    return x


@step
def total(parts: list[int]) -> int:
    return sum(parts)


@pipeline
def slow(seconds: float = 0.0):
    return total([talk(x, seconds) for x in load()])
"""


@pytest.fixture
def slow(project: Project) -> Iterator[Project]:
    project.write("pyproject.toml", "")
    project.write("slow.py", PIPELINE)
    started: list[subprocess.Popen[str]] = []
    start = project.start

    def remembered(*words: str) -> subprocess.Popen[str]:
        process = start(*words)
        started.append(process)
        return process

    project.start = remembered  # type: ignore[method-assign]
    yield project
    for process in started:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.05)


def log(project: Project, run_id: str) -> Path:
    return project.folder / ".levada" / "runs" / "slow" / run_id / "talk" / "[0]" / "1" / "log"


def started(project: Project, run_id: str, seconds: float = 30) -> subprocess.Popen[str]:
    """A run whose steps are writing."""
    process = project.start(
        "run", "slow.py", "--run-id", run_id, "--param", f"seconds={seconds}", "--max-parallel", "2"
    )
    wait_for(lambda: log(project, run_id).exists() and log(project, run_id).stat().st_size)
    return process


def status(project: Project, run_id: str, code: int) -> dict[str, Any]:
    done = project.levada("status", run_id, "--json")
    assert done.returncode == code, done.stderr
    return valid("status", done.stdout)


def failed(project: Project, run_id: str) -> None:
    done = project.levada("run", "slow.py", "--run-id", run_id, "--json")
    assert done.returncode == 1, done.stderr
    assert valid("run", done.stdout)["error"]["message"] == "not mended"


# ---------------------------------------------------------------- a run that is over


def test_status_of_a_run_that_failed(slow: Project) -> None:
    failed(slow, "one")
    found = status(slow, "one", 1)
    assert found["run"] == "local:slow/one"
    assert (found["target"], found["status"]) == ("local", "failed")
    assert found["error"] == {
        "type": "ValueError",
        "message": "not mended",
        "node": "talk",
        "map_index": [1],
        "label": "x=1",
    }
    assert [(step["node"], step["status"], step["attempts"]) for step in found["steps"]] == [
        ("load", "succeeded", 1),
        ("talk", "succeeded", 1),
        ("talk", "failed", 2),
        ("total", "skipped", 0),
    ]


@pytest.mark.parametrize("reference", ["one", "on", "slow/one", "local:slow/one", "slow@latest"])
def test_a_run_has_several_names(slow: Project, reference: str) -> None:
    failed(slow, "one")
    done = slow.levada("status", reference)
    assert done.returncode == 1
    assert "run: local:slow/one" in done.stdout
    assert "failed talk[x=1]: ValueError: not mended" in done.stdout


def test_logs_of_all_steps_of_one_and_of_an_attempt(slow: Project) -> None:
    failed(slow, "one")
    whole = slow.levada("logs", "one").stdout.splitlines()
    assert whole[0] == "load | loaded"
    assert whole[-1] == "talk[x=1] | ValueError: not mended"
    assert slow.levada("logs", "one", "load").stdout == "loaded\n"
    first = slow.levada("logs", "one", "talk[1]", "--attempt", "1").stdout
    assert first.splitlines()[-1] == "ValueError: not mended"


def test_retry_takes_what_succeeded_and_runs_what_failed(slow: Project) -> None:
    failed(slow, "one")
    slow.write("mended", "")
    done = slow.levada("retry", "one", "--json")
    assert done.returncode == 0, done.stderr
    again = valid("run", done.stdout)
    assert again["outputs"] == 1
    ran = {(s["node"], tuple(s["map_index"] or ())) for s in again["steps"] if not s["cached"]}
    assert ran == {("talk", (1,)), ("total", ())}
    run = json.loads((slow.folder / ".levada" / again["folder"] / "run.json").read_text())
    assert run["engine"]["retry_of"] == "one"
    assert run["trigger"] == "retry"


def test_a_run_that_succeeded_is_not_tried_again(slow: Project) -> None:
    slow.write("mended", "")
    assert slow.levada("run", "slow.py", "--run-id", "one").returncode == 0
    done = slow.levada("retry", "one")
    assert done.returncode == 1
    assert "error: the run succeeded" in done.stderr
    assert "levada rerun slow/one" in done.stderr


def test_a_run_that_is_over_is_left_as_it_is(slow: Project) -> None:
    failed(slow, "one")
    done = slow.levada("cancel", "one")
    assert (done.returncode, done.stderr) == (0, "the run is over already: failed\n")


# ---------------------------------------------------------------- a run that goes on


def test_logs_follow_a_run_to_its_end(slow: Project) -> None:
    slow.write("mended", "")
    process = started(slow, "one", seconds=1.5)
    done = slow.levada("logs", "one", "--follow")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for item in (0, 1):
        # While it runs it is known by its index, afterwards by its item.
        heads = (f"talk[{item}] | ", f"talk[x={item}] | ")
        written = [line.partition(" | ")[2] for line in lines if line.startswith(heads)]
        assert written == [f"{item}: line {i}" for i in range(15)]
    assert process.wait(60) == 0


def test_status_of_a_run_that_goes_on(slow: Project) -> None:
    process = started(slow, "one")
    found = status(slow, "one", 0)
    assert found["status"] == "running"
    assert ("talk", "running") in [(step["node"], step["status"]) for step in found["steps"]]
    done = slow.levada("retry", "one")
    assert done.returncode == 1
    assert "the run goes on" in done.stderr
    assert process.poll() is None


def test_status_watches_a_run_to_its_end(slow: Project) -> None:
    process = started(slow, "one", seconds=2)
    watched = slow.levada("status", "one", "--watch", "--json")
    assert watched.returncode == 1
    assert valid("status", watched.stdout)["status"] == "failed"
    assert process.wait(60) == 1


def test_cancel_ends_the_run(slow: Project) -> None:
    process = started(slow, "one")
    done = slow.levada("cancel", "one")
    assert (done.returncode, done.stderr) == (0, "cancelled local:slow/one\n")
    assert process.wait(30) == 130
    assert status(slow, "one", 130)["status"] == "cancelled"


def test_a_run_whose_process_is_gone_never_ended(slow: Project) -> None:
    process = started(slow, "one")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    found = status(slow, "one", 1)
    assert found["status"] == "failed"
    assert found["error"]["node"] == "talk"
    shown = slow.levada("status", "one").stdout
    assert f"reason: it never ended: its process {process.pid} is gone" in shown
    done = slow.levada("cancel", "one")
    assert done.returncode == 0
    assert done.stderr.endswith("its process was gone, and it is marked as cancelled now\n")
    assert status(slow, "one", 130)["status"] == "cancelled"
    entries = [json.loads(path.read_text()) for path in slow.folder.glob(".levada/index/log/*")]
    assert "cancelled" in [entry.get("status") for entry in entries]
    slow.write("mended", "")
    again = slow.levada("retry", "one", "--json")
    assert again.returncode == 0, again.stderr
    assert valid("run", again.stdout)["steps"][0]["cached"]


def test_a_run_of_another_machine(slow: Project) -> None:
    process = started(slow, "one")
    path = slow.folder / ".levada" / "runs" / "slow" / "one" / "run.json"
    document = json.loads(path.read_text())
    document["engine"]["process"]["host"] = "elsewhere"
    path.chmod(0o644)
    path.write_text(json.dumps(document))
    assert status(slow, "one", 0)["status"] == "running"
    assert "it runs on elsewhere" in slow.levada("status", "one").stdout
    done = slow.levada("cancel", "one")
    assert done.returncode == 1
    assert "the run is on elsewhere, and this is" in done.stderr
    assert process.poll() is None


def test_cancel_ends_no_process_that_may_be_another_one(slow: Project) -> None:
    process = started(slow, "one")
    path = slow.folder / ".levada" / "runs" / "slow" / "one" / "run.json"
    path.chmod(0o644)
    document = json.loads(path.read_text())
    ours = document["engine"]["process"]
    boot, namespace, machine, start = ours["started"].split()
    elsewhere = f"{boot} {int(namespace) + 1} {machine} {start}"
    with subprocess.Popen(["sleep", "60"]) as other:
        foreign = {
            "pid": other.pid,
            "host": os.uname().nodename,
            "started": f"{run_process._place()} {run_process._start(other.pid)}",
        }
        for written, why in (
            (
                ours | {"started": None},
                f"not known when the run's process {ours['pid']} was started",
            ),
            (ours | {"started": elsewhere}, "is in another container, or another machine"),
            (foreign, f"process {other.pid} runs "),
        ):
            document["engine"]["process"] = written
            path.write_text(json.dumps(document))
            done = slow.levada("cancel", "one")
            assert done.returncode == 1
            assert why in done.stderr
            assert (process.poll(), other.poll()) == (None, None)
        other.kill()


# ---------------------------------------------------------------- what is not there


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "retry"])
@pytest.mark.parametrize("reference", ["slow/none", "none", "local:slow/none"])
def test_a_run_that_is_not_there(slow: Project, command: str, reference: str) -> None:
    done = slow.levada(command, reference)
    assert done.returncode == 2
    assert "there is no run" in done.stderr
    assert not (slow.folder / ".levada").exists()


def test_a_run_whose_document_is_damaged(slow: Project) -> None:
    failed(slow, "one")
    path = slow.folder / ".levada" / "runs" / "slow" / "one" / "run.json"
    path.chmod(0o644)
    path.write_text("{")
    for command in ("status", "logs", "cancel", "retry"):
        done = slow.levada(command, "one")
        assert done.returncode == 1
        assert "run.json is damaged" in done.stderr
        assert "Traceback" not in done.stderr
