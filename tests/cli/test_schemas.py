"""What commands print with ``--json``, each checked against its schema in the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import SMALL, Project
from .schemas import valid

HERE = Path(__file__).parent
SCRIPT = [{"status": "running"}, {"status": "failed"}, {"status": "succeeded"}]
DIRECT = "\n[tool.levada.targets.airflow]\ndags_folder = 'dags'\n"


@pytest.fixture
def remote(project: Project) -> Project:
    """A project whose target `stage` has a client that plays a script."""
    project.variables["PYTHONPATH"] = str(HERE / "rehearsal")
    project.write("pyproject.toml", "[tool.levada.targets.stage]\nfolder = 'here'\n")
    project.write("script.json", json.dumps(SCRIPT))
    return project


def test_targets(project: Project) -> None:
    every = valid("targets", project.levada("targets", "--json").stdout)
    assert {"airflow", "kubeflow", "kubernetes"} <= {each["name"] for each in every}
    [one] = valid("targets", project.levada("targets", "airflow", "--json").stdout)
    assert one in every


def test_explain(project: Project) -> None:
    every = valid("explain", project.levada("explain", "--json").stdout)
    rule = every[0]["id"]
    one = valid("explain", project.levada("explain", rule, "--json").stdout)
    assert (one["id"], one["summary"]) == (rule, every[0]["summary"])


def test_store(project: Project) -> None:
    """`check` prints a document a line, `copy` one."""
    assert project.levada("run", "pipeline.py", "--store", "first").returncode == 0
    lines = project.levada("store", "check", "first", "--json").stdout.splitlines()
    assert all(valid("store-check", line)["ok"] for line in lines)
    assert len(lines) > 1
    words = ("store", "copy", "first", "second", "--json")
    assert valid("store-copy", project.levada(*words).stdout)["copied"] > 0
    again = valid("store-copy", project.levada(*words).stdout)
    assert (again["copied"], again["already_there"] > 0) == (0, True)


def test_deploy(project: Project) -> None:
    project.write("pyproject.toml", DIRECT)
    (project.folder / "dags").mkdir()
    for dry in (["--dry-run"], []):
        done = project.levada("deploy", "pipeline.py", "-t", "airflow", "--json", *dry)
        assert done.returncode == 0, done.stderr
        found = valid("deploy", done.stdout)
        assert {each["status"] for each in found["changes"]} == {"new"}
    project.write("second.py", SMALL.replace("small", "second"))
    done = project.levada("deploy", ".", "-t", "airflow", "--json")
    found = valid("deploy", done.stdout)
    assert found["failures"] == []
    assert {each["status"] for each in found["changes"]} == {"new", "unchanged"}


def test_submit_and_retry(remote: Project) -> None:
    assert remote.levada("deploy", "pipeline.py").returncode == 0
    submitted = remote.levada("submit", "pipeline.py", "--json")
    assert submitted.returncode == 0, submitted.stderr
    run = valid("status", submitted.stdout)["run"]
    failed = remote.levada("status", run, "--watch", "--json")
    assert valid("status", failed.stdout)["status"] in ("failed", "succeeded")
    retried = remote.levada("retry", run, "--json")
    assert valid("status", retried.stdout)["run_id"], retried.stderr


def test_build_with_errors(project: Project) -> None:
    project.write("pipeline.py", SMALL.replace("one()", "one(1)"))
    for words in (["pipeline.py"], ["."]):
        done = project.levada("build", *words, "--dry-run", "--json")
        assert done.returncode == 1
        found = valid("build", done.stdout)
        assert found["diagnostics"]


def test_build_plans(project: Project) -> None:
    project.write("pyproject.toml", '[project]\nname = "small"\nversion = "1"\n')
    project.write("pipeline.py", SMALL.replace("@step", '@step(image="registry/own:1")'))
    for words in (["pipeline.py"], ["."]):
        done = project.levada("build", *words, "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        found = valid("build", done.stdout)
        assert (found["pipelines"][0] if words == ["."] else found)["own"]
