"""Levada as `pip install levada` leaves it: what works, and what names the extra that it needs.

The wheel is built from this tree, and what it requires comes from the package index.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from levada_backends.images import uv

ROOT = Path(__file__).parents[2]
LEARN = """
from __future__ import annotations

from typing import TYPE_CHECKING

from levada import pipeline, step

if TYPE_CHECKING:
    from sklearn.linear_model import LinearRegression


@step
def load() -> list[float]:
    return [1.0, 2.0]


@step
def fit(data: list[float]) -> LinearRegression:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit([[x] for x in data], data)


@pipeline
def learn():
    return fit(load())
"""
#: How uv says that there is no way to the index.
_UNREACHABLE = ("Failed to fetch", "error sending request", "network was disabled", "dns error")


def call(*words: str | Path, folder: Path = ROOT) -> None:
    """Run uv. Skips the test where the package index cannot be reached, but in CI."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    is_cut_off = bool(done.returncode) and any(sign in done.stderr for sign in _UNREACHABLE)
    if is_cut_off and "CI" not in os.environ:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr


class Installed:
    """An environment that has Levada and what it requires, and a project that `init` made."""

    def __init__(self, folder: Path) -> None:
        tool = uv.find()
        call(tool, "build", "--wheel", "--quiet", "--out-dir", folder / "dist", ROOT)
        call(tool, "venv", "--quiet", "--python", sys.executable, folder / "venv")
        self.python = folder / "venv" / "bin" / "python"
        (wheel,) = (folder / "dist").glob("*.whl")
        call(tool, "pip", "install", "--quiet", "--python", self.python, wheel)
        self.variables = {
            "PATH": f"{self.python.parent}:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        self.folder = folder
        self.levada("init", "project", folder=folder)
        self.project = folder / "project"

    def levada(self, *words: str, status: int = 0, folder: Path | None = None) -> str:
        """What the command writes, errors included."""
        done = subprocess.run(
            [self.python.parent / "levada", *words],
            cwd=folder or self.project,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


def test_the_readme_of_a_new_project_says_what_works(installed: Installed) -> None:
    """Each of its lines, but that of pytest, which is a package of the project's own."""
    lines = (installed.project / "README.md").read_text().splitlines()
    commands = [line.strip().partition("   ")[0] for line in lines if "levada " in line]
    assert len(commands) == 6
    for command in commands:
        installed.levada(*command.split()[1:])
    assert (installed.project / "dags" / "project.py").is_file()


def test_the_compile_line_works_in_a_project_that_was_there_before(installed: Installed) -> None:
    folder = installed.folder / "before"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "old"\nversion = "1"\n')
    installed.levada("init", ".", folder=folder)
    (line,) = (
        line.strip().partition("   ")[0]
        for line in (folder / "README.md").read_text().splitlines()
        if "levada compile" in line
    )
    installed.levada(*line.split()[1:], folder=folder)
    assert (folder / "dags" / "before.py").is_file()


def test_a_new_project_can_be_built(installed: Installed) -> None:
    """`levada` is among its dependencies, and no index has it."""
    make_base = [installed.python, "-m", "levada_backends.images.make_base", "base.tar"]
    subprocess.run(make_base, cwd=installed.project, env=installed.variables, check=True)
    settings = installed.project / "pyproject.toml"
    settings.write_text(settings.read_text() + '\n[tool.levada.images]\nbase = "oci:base.tar"\n')
    assert "project/best  new" in installed.levada("build", "pipeline.py", "--dry-run")
    assert "wrote     levada.lock" in installed.levada("build", "pipeline.py")
    assert "nothing" in installed.levada("build", "pipeline.py", "--dry-run")
    assert "best runs in project/best" in installed.levada("image", "best")
    installed.levada("check", "pipeline.py", "-t", "airflow", "-t", "ir")


def test_a_run_as_json(installed: Installed) -> None:
    said = installed.levada("run", "pipeline.py", "--json", "--param", "count=20")
    outcome = json.loads(said[said.index("{\n") :])
    assert outcome["status"] == "succeeded"


def test_a_run_names_the_package_without_which_a_result_cannot_be_stored(
    installed: Installed,
) -> None:
    """Before the first step: here neither scikit-learn nor skops is installed."""
    (installed.project / "learn.py").write_text(LEARN)
    said = installed.levada("run", "learn.py", status=1)
    assert said.startswith(
        "error: `fit`: a `sklearn.linear_model.LinearRegression` is stored with the package"
        " `skops`, which is not installed here; pip install skops"
    )
    assert "start" not in said


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("deploy pipeline.py -t kubernetes", "kubernetes"),
        ("submit pipeline.py -t kubernetes", "kubernetes"),
        ("status kubernetes:project/x", "kubernetes"),
        ("logs kubernetes:project/x", "kubernetes"),
        ("cancel kubernetes:project/x", "kubernetes"),
        ("retry kubernetes:project/x", "kubernetes"),
        ("submit pipeline.py -t kubeflow --set host=https://kfp.example --set image=x", "kubeflow"),
        ("status kubeflow:project/x --set host=https://kfp.example", "kubeflow"),
        ("logs kubeflow:project/x --set host=https://kfp.example", "kubeflow"),
        ("cancel kubeflow:project/x --set host=https://kfp.example", "kubeflow"),
        ("retry kubeflow:project/x --set host=https://kfp.example", "kubeflow"),
        ("store check s3://bucket/prefix", "s3"),
        ("run pipeline.py --store gs://bucket/prefix", "gcs"),
        ("run pipeline.py --store az://bucket/prefix", "azure"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(
    installed: Installed, words: str, extra: str
) -> None:
    status = 2 if words.startswith("run") else 1
    said = installed.levada(*words.split(), status=status)
    (line,) = (line for line in said.splitlines() if "pip install" in line)
    assert line.endswith(f"pip install 'levada[{extra}]'")
    assert "Traceback" not in said
    assert "bug" not in said


def test_no_package_is_imported_for_a_command_that_needs_none(installed: Installed) -> None:
    code = (
        "import sys; from levada_cli.commands import cli; "
        "assert cli.run(['check', 'pipeline.py']) == 0; "
        "print(sorted({'docker', 'jinja2', 'cyclonedx', 'packaging', 'uv'} & set(sys.modules)))"
    )
    command = [installed.python, "-c", code]
    done = subprocess.run(
        command,
        cwd=installed.project,
        env=installed.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
