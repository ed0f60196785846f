"""``levada replay``: one step on its recorded inputs, with nothing recorded of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project
from .schemas import valid

PIPELINE = """
import multiprocessing, os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from levada import container, context, log_artifact, log_metric, pipeline, step
from helpers import scale


@dataclass
class Model:
    weights: list[float]


class Parts(NamedTuple):
    model: Model
    count: int


@step
def load(rows: int) -> list[float]:
    print("loading")
    return [float(row) for row in range(rows)]


@step(secrets={"TOKEN": "the-token"}, environment={"MODE": "fast"})
def fit(points: list[float], depth: int) -> Parts:
    assert os.environ["MODE"] == "fast"
    print(f"fitting {len(points)} with {len(os.environ['TOKEN'])}")
    log_metric("depth", depth)
    log_artifact("points", points)
    return Parts(Model([scale(each) * depth for each in points]), len(points))


@step
def report(model: Model) -> Path:
    Path("report.txt").write_text(str(model.weights))
    return Path("report.txt")


@step
def check(depth: int) -> int:
    wanted = 2
    if depth > wanted:
        raise ValueError(f"{depth} is too deep")
    return depth


@step
def parameter() -> int:
    return context().parameters["rows"]


@pipeline
def churn(rows: int = 3, depths: list[int] = [1, 2]):
    points = load(rows)
    parts = [fit(points, depth) for depth in depths]
    checked = [check(depth) for depth in depths]
    return report(parts[0].model), parameter()
"""


@pytest.fixture
def churn(project: Project) -> Project:
    project.write("pyproject.toml", "")
    project.write("helpers.py", "def scale(x):\n    return x * 2\n")
    project.write("churn.py", PIPELINE.replace("container, ", ""))
    project.variables["TOKEN"] = "correct-horse"
    done = project.levada("run", "churn.py", "--run-id", "one")
    assert done.returncode == 0, done.stderr
    return project


def state(project: Project) -> dict[str, bytes]:
    store = project.folder / ".levada"
    return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def replay(project: Project, *words: str, status: int = 0) -> dict[str, Any]:
    before = state(project)
    done = project.levada("replay", "one", *words, "--json")
    assert done.returncode == status, done.stderr
    assert state(project) == before
    return valid("replay", done.stdout)


def typed(project: Project, keys: str, *words: str) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "levada_cli.main", "replay", "one", *words],
        cwd=project.folder,
        env=os.environ | project.variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(keys, timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.parametrize(
    "step", ["load", "fit[0]", "fit[depth=2]", "report", "check[1]", "parameter"]
)
def test_a_step_gives_the_same_and_nothing_is_recorded(churn: Project, step: str) -> None:
    found = replay(churn, step)
    assert found["status"] == "succeeded"
    assert found["same"] is True
    assert found["code_changed"] is False
    assert all(output["same"] for output in found["outputs"])


def test_output_is_shown_and_metrics(churn: Project) -> None:
    done = churn.levada("replay", "one", "fit[1]")
    assert done.stdout == "fitting 3 with 13\n"
    assert "replay fit[depth=2]: points=[0.0, 1.0, 2.0], depth=2" in done.stderr
    assert "output count: 3, the same as in the run" in done.stderr
    assert "depth: 2" in done.stderr


def test_a_file_is_told_by_its_type_and_digest(churn: Project) -> None:
    done = churn.levada("replay", "one", "report")
    assert "output: pathlib:Path of 15 bytes, sha256:" in done.stderr
    assert "levada-replay-" not in done.stderr


def test_current_code_that_gives_another_value(churn: Project) -> None:
    churn.write("helpers.py", "def scale(x):\n    return x * 3\n")
    found = replay(churn, "fit[0]")
    assert found["code_changed"] is True
    assert found["same"] is False
    assert {output["name"]: output["same"] for output in found["outputs"]} == {
        "model": False,
        "count": True,
    }
    shown = churn.levada("replay", "one", "fit[0]").stderr
    assert "code: current, which is not that of the run" in shown
    assert "output model differs: " in shown


def test_recorded_code_gives_the_same(churn: Project) -> None:
    churn.write("helpers.py", "def scale(x):\n    raise ValueError\n")
    found = replay(churn, "fit[0]", "--code", "recorded")
    assert (found["code"], found["same"]) == ("recorded", True)
    assert replay(churn, "fit[0]", status=1)["error"]["type"] == "ValueError"


def test_a_failure_is_compared_with_that_of_the_run(churn: Project) -> None:
    failing = ("run", "churn.py", "--run-id", "two", "--param", "depths=[1, 5]")
    assert churn.levada(*failing).returncode == 1
    done = churn.levada("replay", "two", "check[1]")
    assert done.returncode == 1
    assert 'raise ValueError(f"{depth} is too deep")' in done.stderr
    assert "ValueError: 5 is too deep\nthe same as in the run\n" in done.stderr
    churn.write("churn.py", PIPELINE.replace("container, ", "").replace("wanted = 2", "wanted = 9"))
    done = churn.levada("replay", "two", "check[1]")
    assert done.returncode == 0
    assert "in the run it failed: ValueError: 5 is too deep" in done.stderr


def test_a_debugger_stops_at_the_first_line(churn: Project) -> None:
    done = typed(churn, "p depth\nc\n", "check[1]", "--break")
    assert done.returncode == 0, done.stderr
    assert "-> wanted = 2" in done.stdout
    assert "(Pdb) 2" in done.stdout
    assert "the same as in the run" in done.stderr


def test_who_leaves_the_debugger_has_no_result(churn: Project) -> None:
    done = typed(churn, "q\n", "check[1]", "--break")
    assert done.returncode == 1
    assert "left the debugger" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_debugger_looks_at_where_a_step_failed(churn: Project) -> None:
    churn.write("churn.py", PIPELINE.replace("container, ", "").replace("wanted = 2", "wanted = 1"))
    done = typed(churn, "p depth, wanted\nq\n", "check[1]", "--pdb")
    assert done.returncode == 1
    assert "(Pdb) (2, 1)" in done.stdout
    assert "failed in" in done.stderr
    assert "in the run it succeeded" in done.stderr


def test_a_secret_that_is_missing(churn: Project) -> None:
    del churn.variables["TOKEN"]
    found = replay(churn, "fit[0]", status=1)
    assert found["error"]["message"] == (
        "the secret 'the-token' is missing: set the environment variable TOKEN"
    )


def test_a_process_that_ends_without_an_answer(churn: Project) -> None:
    churn.write("helpers.py", "import os\n\ndef scale(x):\n    os._exit(3)\n")
    found = replay(churn, "fit[0]", status=1)
    assert found["error"]["message"] == "its process ended with exit code 3"


def test_an_input_that_is_gone_or_damaged(churn: Project) -> None:
    for path in (churn.folder / ".levada" / "blobs").rglob("*"):
        if path.is_file() and b"[0.0,1.0,2.0]" in path.read_bytes():
            path.unlink()
    found = replay(churn, "fit[0]", status=1)
    assert "the input 'points' is missing in the store, or damaged" in found["error"]["message"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["fitt"], 2, "run one has no step fitt; it has"),
        (["fit"], 2, "run one has no step fit; it has fit[0] to fit[1]"),
        (["fit[7]"], 2, "run one has no step fit[7]"),
        (["fit[a]"], 2, "`fit[a]` is not a step"),
        (["load", "--attempt", "2"], 2, "load has no attempt 2; it has 1"),
        (["load", "--pdb", "--break"], 2, "leave out --pdb"),
    ],
)
def test_what_cannot_be(churn: Project, words: list[str], code: int, said: str) -> None:
    done = churn.levada("replay", "one", *words)
    assert done.returncode == code
    assert said in done.stderr


def test_a_step_that_is_no_longer_there(churn: Project) -> None:
    text = PIPELINE.replace("container, ", "").replace(
        "return report(parts[0].model), parameter()", "return parameter()"
    )
    churn.write("churn.py", text)
    done = churn.levada("replay", "one", "report")
    assert done.returncode == 1
    assert "the pipeline has no step `report` any more" in done.stderr
    assert "--code recorded" in done.stderr


def test_a_step_that_was_skipped_or_whose_record_is_damaged(churn: Project) -> None:
    failing = ("run", "churn.py", "--run-id", "two", "--param", "depths=[5]")
    churn.levada(*failing)
    record = Path(churn.folder, ".levada/runs/churn/two/load/1/record.json")
    record.chmod(0o644)
    record.write_text("{")
    done = churn.levada("replay", "two", "load")
    assert done.returncode == 1
    assert "load has no recorded inputs: " in done.stderr
    assert "is damaged" in done.stderr


def test_a_program_of_an_image_cannot_be_replayed(project: Project) -> None:
    project.write("pyproject.toml", "")
    project.write(
        "shell.py",
        """
from levada import container, pipeline, step

count = container("docker.io/library/busybox:1.36", command=["wc"], args=["-c"])


@step
def one() -> int:
    return 1


@pipeline
def shell():
    one()
    count()
""",
    )
    done = project.levada("run", "shell.py", "--run-id", "one")
    record = project.folder / ".levada/runs/shell/one/count/1/record.json"
    assert record.exists(), done.stderr
    done = project.levada("replay", "one", "count")
    assert done.returncode == 1
    assert "`count` runs a program of an image, which cannot be replayed" in done.stderr
    assert json.loads(record.read_text())["container"]
