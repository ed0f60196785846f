"""`levada deploy`, `submit` and the others on a real Airflow, of each version.

``cases/airflow/*.md`` has the form of :mod:`tests.cli.test_commands`; in it $URL, $DAGS and $STORE
are those of the Airflow, and $OTHER one where nothing listens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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
    }
    play(_filled(case, words), tmp_path, monkeypatch)


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
        self.server = server
        self.folder = folder
        words = {"url": server.api.url, "user": USERNAME, "dags": server.dags_folder}
        (folder / "pyproject.toml").write_text(SETTINGS.format(**words))
        (folder / "pipeline.py").write_text(pipeline)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "levada_compiler.main", *arguments],
            cwd=self.folder,
            env={**os.environ, "AIRFLOW_PASSWORD": PASSWORD},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def levada(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err

    def deploy(self) -> None:
        status, _, err = self.levada("deploy", "pipeline.py", "--wait", "120")
        assert status == 0, err


SLEEPS = """
import time
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
def {name}(note: str, seconds: float = 100):
    return after(sleeps(note, seconds))
"""


def _until(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not path.is_file() or path.read_text() != text:
        assert time.monotonic() < deadline, f"{path} does not say {text!r}"
        time.sleep(0.1)


def test_a_run_is_followed_cancelled_and_gone_on_with(airflow: Airflow, tmp_path: Path) -> None:
    note = tmp_path / "note"
    project = Project(airflow, tmp_path, SLEEPS.format(name="client_sleeps"))
    project.deploy()
    parameters = ("--param", f"note={note}", "--run-id", "r")
    watch = project.start("submit", "pipeline.py", *parameters, "--watch")
    _until(note, "asleep")

    status, out, _ = project.levada("status", "airflow:client_sleeps/r", "--json")
    found = json.loads(out)
    assert (status, found["status"]) == (0, "running")
    assert [step["node"] for step in found["steps"] if step["status"] == "running"] == ["sleeps"]
    assert (found["outputs"], found["error"]) == (None, None)

    status, _, err = project.levada("cancel", "airflow:client_sleeps/r")
    assert (status, err) == (0, "cancelled airflow:client_sleeps/r\n")
    _until(note, "awake")  # the step was told, and could clean up
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 130, err
    assert "\nsleeps | asleep\n" in err
    assert "\ncancelled in " in err

    status, out, _ = project.levada("status", "airflow:client_sleeps/r", "--json")
    found = json.loads(out)
    steps = {step["node"]: step["status"] for step in found["steps"] if not step["control"]}
    assert (status, found["status"]) == (130, "cancelled")
    assert steps == {"sleeps": "cancelled", "after": "skipped"}

    again = project.start("retry", "airflow:client_sleeps/r")
    out, err = again.communicate(timeout=60)
    assert (again.returncode, out) == (0, "airflow:client_sleeps/r\n"), err
    _until(note, "asleep")
    assert project.levada("cancel", "airflow:client_sleeps/r")[0] == 0


def test_a_paused_dag_is_switched_on_only_if_asked(airflow: Airflow, tmp_path: Path) -> None:
    project = Project(airflow, tmp_path, SLEEPS.format(name="client_paused"))
    project.deploy()
    airflow.api.patch("/dags/client_paused", {"is_paused": True})
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
        "error: the DAG `client_paused` is paused: its runs would wait\n"
        "help: --unpause switches it on, and with it its schedule\n"
    )

    status, out, err = project.levada(*submit, "--unpause", "--watch", "--json")
    assert status == 0, err
    assert json.loads(out)["outputs"] == 1


def test_the_errors_of_an_import_are_shown(airflow: Airflow, tmp_path: Path) -> None:
    project = Project(airflow, tmp_path, SLEEPS.format(name="client_broken"))
    file = "client_broken.py"
    assert project.levada("deploy", "pipeline.py")[0] == 0
    text = (airflow.dags_folder / file).read_text()
    with pytest.raises(ImportFailedError):
        airflow.deploy({file: text.replace("import json\n", "import jsonn\n")})

    status, _, err = project.levada("submit", "pipeline.py")
    assert (status, "client_broken.py`:\n  Traceback" in err) == (
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
