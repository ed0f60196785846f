"""`levada deploy`, `submit` and the others on a real Airflow, of each version.

``cases/airflow/*.md`` has the form of :mod:`tests.cli.test_commands`; in it $URL, $DAGS, $STORE and
$USER are those of the Airflow, $OTHER is one where nothing listens, and $ID makes a name new: an
Airflow may be used for several sessions.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.markdown import Case, cases
from tests.cli.test_commands import play
from tests.engines.airflow import ImportFailedError
from tests.engines.airflow_settings import PASSWORD, USERNAME

if TYPE_CHECKING:
    from tests.engines.airflow import Airflow

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
SETTINGS = """
[tool.levada.targets.airflow]
url = "{url}"
username = "{user}"
password_env = "AIRFLOW_PASSWORD"
dags_folder = "{dags}"
"""


@pytest.mark.parametrize("case", cases(HERE / "cases" / "airflow"), ids=lambda case: case.id)
def test_commands(
    case: Case, airflow: Airflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", PASSWORD)
    monkeypatch.setenv("WRONG_PASSWORD", "wr0ng")
    words = {
        "$URL": airflow.api.url,
        "$DAGS": str(airflow.dags_folder),
        "$STORE": str(airflow.store),
        "$OTHER": "http://127.0.0.1:9",
        "$USER": USERNAME,
        "$ID": _new_id(),
    }
    play(_filled(case, words), tmp_path, monkeypatch)


def _new_id() -> str:
    return uuid.uuid4().hex[:8]


def _filled(case: Case, words: dict[str, str]) -> Case:
    blocks = []
    for info, text in case.blocks:
        for word, value in words.items():
            text = text.replace(word, value)
        blocks.append((info, text))
    return replace(case, blocks=tuple(blocks))


class Project:
    """A project that is deployed to an Airflow, in which commands are run."""

    def __init__(self, server: Airflow, folder: Path, pipeline: str) -> None:
        self.name = f"client_{_new_id()}"
        self.folder = folder
        words = {"url": server.api.url, "user": USERNAME, "dags": server.dags_folder}
        (folder / "pyproject.toml").write_text(SETTINGS.format(**words))
        (folder / "pipeline.py").write_text(pipeline.replace("NAME", self.name))

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "levada_cli.main", *arguments],
            cwd=self.folder,
            env={**os.environ, "AIRFLOW_PASSWORD": PASSWORD, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def levada(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err

    def deploy(self) -> None:
        status, _, err = self.levada("deploy", "pipeline.py", "--wait", "120")
        assert status == 0, err


SLEEPS = """
import time
import uuid
from pathlib import Path
from levada import pipeline, step

@step(cache=False)
def sleeps(note: str, seconds: float) -> int:
    try:
        print("asleep", flush=True)
        Path(note).write_text("asleep")
        time.sleep(seconds)
    finally:
        Path(note).write_text("awake")
    return 1

@step(cache=False)
def after(x: int) -> int:
    return x

@pipeline
def NAME(note: str, seconds: float = 100):
    return after(sleeps(note, seconds))
"""


def _until(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not path.is_file() or path.read_text() != text:
        assert time.monotonic() < deadline, f"{path} does not say {text!r}"
        time.sleep(0.1)


def test_a_run_is_followed_cancelled_and_gone_on_with(airflow: Airflow, tmp_path: Path) -> None:
    note = tmp_path / "note"
    project = Project(airflow, tmp_path, SLEEPS)
    project.deploy()
    run = f"airflow:{project.name}/r"
    parameters = ("--param", f"note={note}", "--run-id", "r")
    watch = project.start("submit", "pipeline.py", *parameters, "--watch")
    _until(note, "asleep")

    status, out, _ = project.levada("status", run, "--json")
    found = json.loads(out)
    assert (status, found["status"]) == (0, "running")
    assert [step["node"] for step in found["steps"] if step["status"] == "running"] == ["sleeps"]
    assert (found["outputs"], found["error"]) == (None, None)

    status, _, err = project.levada("cancel", run)
    assert (status, err) == (0, f"cancelled {run}\n")
    _until(note, "awake")  # the step was told, and could clean up
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 130, err
    assert "\nsleeps | asleep\n" in err
    assert "\ncancelled in " in err

    status, out, _ = project.levada("status", run, "--json")
    found = json.loads(out)
    steps = {step["node"]: step["status"] for step in found["steps"] if not step["control"]}
    assert (status, found["status"]) == (130, "cancelled")
    assert steps == {"sleeps": "cancelled", "after": "skipped"}

    again = project.start("retry", run)
    out, err = again.communicate(timeout=60)
    assert (again.returncode, out) == (0, f"{run}\n"), err
    _until(note, "asleep")
    assert project.levada("cancel", run)[0] == 0


def test_a_paused_dag_is_switched_on_only_if_asked(airflow: Airflow, tmp_path: Path) -> None:
    project = Project(airflow, tmp_path, SLEEPS)
    project.deploy()
    airflow.api.patch(f"/dags/{project.name}", {"is_paused": True})
    submit = (
        "submit",
        "pipeline.py",
        "--param",
        f"note={tmp_path / 'note'}",
        "--param",
        "seconds=0",
    )

    status, out, err = project.levada(*submit)
    assert (status, out) == (1, "")
    assert err == (
        f"error: the DAG `{project.name}` is paused: its runs would wait\n"
        "help: --unpause switches it on, and with it its schedule\n"
    )

    status, out, err = project.levada(*submit, "--unpause", "--watch", "--json")
    assert status == 0, err
    assert json.loads(out)["outputs"] == 1


def test_the_errors_of_an_import_are_shown(airflow: Airflow, tmp_path: Path) -> None:
    project = Project(airflow, tmp_path, SLEEPS)
    file = f"{project.name}.py"
    project.deploy()  # and it is read: what is read later is the broken one
    text = (airflow.dags_folder / file).read_text()
    with pytest.raises(ImportFailedError):
        airflow.deploy({file: text.replace("import json\n", "import jsonn\n")})

    status, _, err = project.levada("submit", "pipeline.py")
    assert (status, f"{file}`:\n  Traceback" in err) == (
        2,
        False,
    )  # a parameter is missing
    status, _, err = project.levada("submit", "pipeline.py", "--param", "note=x")
    assert (status, err.splitlines()[0].startswith("error: Airflow cannot import `")) == (1, True)
    assert "ModuleNotFoundError: No module named 'jsonn'\n" in err
    assert "\nhelp: what the worker's Airflow lacks has to be installed there" in err

    # The error on the file before is not taken for one on the file that was deployed over it.
    project.deploy()
    (airflow.dags_folder / file).unlink()


WAITS = """
from levada import pipeline, step

@step(pool="nowhere", cache=False)
def waits() -> int:
    return 1

@pipeline
def NAME():
    return waits()
"""


def test_why_nothing_goes_on_is_said(airflow: Airflow, tmp_path: Path) -> None:
    project = Project(airflow, tmp_path, WAITS)
    project.deploy()
    watch = project.start("submit", "pipeline.py", "--run-id", "r", "--watch")
    assert watch.stderr is not None
    assert watch.stderr.readline() == f"{project.name} run r\n"
    assert watch.stderr.readline() == " waiting the run  there is no pool `nowhere` in Airflow\n"
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=60)
    run = f"airflow:{project.name}/r"
    assert (watch.returncode, err) == (130, f"the run goes on; to end it: levada cancel {run}\n")
    assert project.levada("cancel", run)[0] == 0


def test_a_ready_token_is_taken(airflow_3: Airflow, tmp_path: Path) -> None:
    token = airflow_3.api.token
    project = Project(airflow_3, tmp_path, SLEEPS)
    project.deploy()
    options = ("--set", "token_env=TOKEN", "--set", "password_env=", "--set", "username=")
    parameters = ("--param", f"note={tmp_path / 'note'}", "--param", "seconds=0")
    status, out, err = project.levada("submit", "pipeline.py", *options, *parameters, TOKEN=token)
    assert (status, out.startswith(f"airflow:{project.name}/")) == (0, True), err


ITEMS = """
from pathlib import Path
from levada import pipeline, step

@step(cache=False)
def item(x: int, flag: str) -> int:
    if x == 1 and not Path(flag).exists():
        raise ValueError("no flag")
    return x

@step(cache=False)
def total(xs: list[int]) -> int:
    return sum(xs)

@pipeline
def NAME(flag: str, xs: list[int] = [0, 1]):
    return total([item(x, flag) for x in xs])
"""


def test_a_retry_keeps_the_items_that_succeeded(airflow: Airflow, tmp_path: Path) -> None:
    project = Project(airflow, tmp_path, ITEMS)
    project.deploy()
    flag, run = tmp_path / "flag", f"airflow:{project.name}/r"
    options = ("--watch", "--no-logs", "--json")
    parameters = ("--param", f"flag={flag}", "--run-id", "r")
    status, out, err = project.levada("submit", "pipeline.py", *parameters, *options)
    error = json.loads(out)["error"]
    assert (status, error["node"], error["map_index"]) == (1, "item", [1]), err
    assert (error["type"], error["message"]) == ("ValueError", "no flag")

    flag.touch()
    status, out, err = project.levada("retry", run, *options)
    found = json.loads(out)
    assert (status, found["outputs"], found["error"]) == (0, 1, None), err
    attempts = {(s["node"], s["label"]): s["attempts"] for s in found["steps"] if not s["control"]}
    assert attempts == {("item", "x=0"): 1, ("item", "x=1"): 2, ("total", None): 1}
