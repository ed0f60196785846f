"""The module of operators with `lib = "module"`, as the command line writes and checks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from levada_backends.airflow import library

from tests.engines import airflow as engine
from tests.engines.required import require_engine

from .emission import FOLDER, emit_files, options

PROJECT = """\
[project]
name = "shared"
version = "0"

[tool.levada.targets.airflow]
lib = "module"
dags_folder = "deployed"
"""
PIPELINES = """\
from levada import pipeline, step


@step
def load(count: int) -> int:
    return count


@pipeline
def one(count: int = 1):
    return load(count)


@pipeline
def two(count: int = 1):
    return [load(number) for number in range(count)]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two pipelines that share a folder of DAG files."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "flows.py").write_text(PIPELINES)
    (tmp_path / "deployed").mkdir()
    return tmp_path


def levada(project: Path, *words: str) -> tuple[int, str]:
    """Run the command line; return its exit status and what it said."""
    program = str(Path(sys.executable).with_name("levada"))
    done = subprocess.run(
        [program, *words], cwd=project, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_pipelines_share_a_module(project: Path) -> None:
    for name in ("one", "two"):
        assert levada(project, "compile", f"flows.py:{name}", "-t", "airflow", "-o", "dags")[0] == 0
    module, *dags = sorted(path.name for path in (project / "dags").iterdir())
    assert module.startswith(library.PREFIX)
    assert dags == ["one.py", "two.py"]


def test_an_edited_module_is_noticed_and_a_missing_one(project: Path) -> None:
    words = ("compile", "flows.py:one", "-t", "airflow", "-o", "dags")
    levada(project, *words)
    (module,) = (project / "dags").glob(f"{library.PREFIX}*")
    assert levada(project, *words, "--check")[0] == 0
    module.write_text(module.read_text() + "x = 1\n")
    status, said = levada(project, *words, "--check")
    assert status == 1
    assert "-x = 1" in said
    module.unlink()
    assert levada(project, *words, "--check")[0] == 1


def test_a_deployed_module_that_was_edited_is_replaced(project: Path) -> None:
    deploy = ("deploy", "flows.py:one", "-t", "airflow")
    assert levada(project, *deploy)[0] == 0
    (module,) = (project / "deployed").glob(f"{library.PREFIX}*")
    text = module.read_text()
    module.write_text(text + "x = 1\n")
    assert "what was there was edited" in levada(project, *deploy)[1]
    assert module.read_text() == text


def test_another_module_is_for_other_operators() -> None:
    """Pods, links and the version that a file is for; a DAG file imports the one beside it."""
    given: list[dict[str, Any]] = [{}, {"airflow": 3}, {"record_url": "https://a.b/{path}"}]
    names = {next(iter(emitted("linked", **each))) for each in given}
    assert len(names) == len(given)


def test_containers_learn_how_a_bucket_is_reached() -> None:
    """In a module too; with a store that is no bucket there is nothing of it."""
    module, text = emitted("in_bucket", **options("in_bucket")).values()
    assert "in (*self.STORE_VARIABLES, *secrets)" in module
    assert "STORE_VARIABLES=STORE_VARIABLES" in text
    for other in emitted("in_docker", **options("in_docker")).values():
        assert "STORE_VARIABLES" not in other


@pytest.mark.engine
@pytest.mark.parametrize("version", engine.VERSIONS)
@pytest.mark.parametrize(
    "case", ["in_pods", "in_docker", "in_bucket", "mixed", "linked", "natives"]
)
def test_airflow_imports_it(case: str, version: str, tmp_path: Path) -> None:
    install = "python -m tests.engines.airflow install"
    require_engine(f"Airflow {version}", is_installed=engine.is_installed(version), install=install)
    for name, text in emitted(case, **options(case)).items():
        (tmp_path / name).write_text(text)
    command = [str(engine.python(version)), "-c", IMPORTED, str(tmp_path / f"{case}.py")]
    env = {"AIRFLOW_HOME": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known = done.stdout.split()
    assert f"{case}:{case}" in known


def emitted(case: str, **given: Any) -> dict[str, str]:
    """The files of a case with its operators in a module."""
    path = FOLDER / "cases" / f"{case}.py"
    return emit_files(path, case, {"compiler": "0.1.0", **given, "lib": "module"})


IMPORTED = """
import runpy, sys
dag = runpy.run_path(sys.argv[1])["dag"]
print(*(f"{dag.dag_id}:{getattr(task, 'PIPELINE', '')}" for task in dag.tasks))
"""
