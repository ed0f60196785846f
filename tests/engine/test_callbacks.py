"""Functions that `on_failure` names are called by a local run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from levada.engine import callbacks

from tests.engine.project import Project, statuses

ALERTS = """
import json, os
from pathlib import Path

def page(context):
    names = ("pipeline", "run_id", "node", "map_index", "attempt", "params", "reason")
    told = {name: context[name] for name in names}
    told |= {"exception": str(context["exception"]), "kind": type(context["exception"]).__name__}
    with open("told", "a") as file:
        file.write(json.dumps(told) + "\\n")

def broken(context):
    raise OSError("no network")

def hang(context):
    import time
    time.sleep(600)
"""
BAD = "@step({settings})\ndef work(n: int = 1) -> int:\n    raise ValueError(f'bad {{n}}')\n\n"


def project(folder: Path, step: str, pipeline: str, body: str = "return work(n)") -> Project:
    (folder / "alerts.py").write_text(ALERTS)
    source = BAD.format(settings=step)
    return Project(folder, f"{source}@pipeline({pipeline})\ndef main(n: int = 3):\n    {body}\n")


def told(folder: Path) -> list[dict[str, Any]]:
    path = folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_functions_of_a_step_and_a_pipeline_are_called_once(tmp_path: Path) -> None:
    step = "retry=Retry(1, delay=0.01), on_failure='alerts:page'"
    outcome = project(tmp_path, step, "on_failure='alerts:page'").run()
    common = {"pipeline": "main", "run_id": outcome.run_id, "params": {"n": 3}}
    common |= {"map_index": None, "reason": "ValueError: bad 3"}
    common |= {"exception": "bad 3", "kind": "ValueError"}
    found = sorted(told(tmp_path), key=lambda each: each["node"] is None)
    assert found == [
        common | {"node": "work", "attempt": 2},
        common | {"node": None, "attempt": None},
    ]


def test_a_failure_that_is_handled_is_the_steps_alone(tmp_path: Path) -> None:
    body = "try:\n        x = work(n)\n    except ValueError:\n        x = 0\n    return x"
    one = project(tmp_path, "on_failure='alerts:page'", "on_failure='alerts:page'", body)
    assert one.run().status == "succeeded"
    assert [each["node"] for each in told(tmp_path)] == ["work"]


def test_each_item_of_a_loop_is_told_of(tmp_path: Path) -> None:
    body = "return [work(i) for i in range(n)]"
    project(tmp_path, "on_failure='alerts:page'", "", body).run(max_parallel=3)
    assert {each["reason"] for each in told(tmp_path)} <= {f"ValueError: bad {i}" for i in range(3)}
    assert [0] in [each["map_index"] for each in told(tmp_path)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("alerts:broken", "alerts:broken failed: OSError: no network"),
        ("elsewhere:page", "No module named 'elsewhere'"),
    ],
)
def test_a_function_that_fails_changes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    outcome = project(tmp_path, "", f"on_failure={name!r}").run()
    assert statuses(outcome) == {"work": "failed"}
    assert outcome.error is not None
    assert outcome.error["message"] == "bad 3"
    assert said in capfd.readouterr().err


def test_a_function_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "PATIENCE", 0.2)
    assert project(tmp_path, "", "on_failure='alerts:hang'").run().status == "failed"


def test_a_run_that_succeeds_calls_nothing(tmp_path: Path) -> None:
    body = "return n"
    assert project(tmp_path, "", "on_failure='alerts:page'", body).run().status == "succeeded"
    assert told(tmp_path) == []
