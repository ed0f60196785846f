"""Container steps of a real Airflow, in containers of a real Docker engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from levada import values
from levada.store import open_store
from levada_backends.images.make_base import make_base

from tests.conformance import records
from tests.conformance.engines.airflow_docker import OPTIONS
from tests.conformance.engines.docker import PYPROJECT, PYTHON, Project
from tests.containers import tool_images
from tests.containers.compiling import dags
from tests.engines.airflow import Airflow, Run
from tests.engines.docker import Docker

pytestmark = pytest.mark.engine
FAILING = ("failing_later", "forgetting")


@pytest.fixture(scope="module")
def project(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipelines with a base image, and the options of the target."""
    folder = tmp_path_factory.mktemp("airflow-programs")
    root, store = folder / "project", folder / "store"
    for place in (root, store, folder / "files"):
        place.mkdir()
    shutil.copy(Path(__file__).parent / "cases" / "programs.py", root)
    digest = make_base(root / "base.tar")
    host, place, scratch = (json.dumps(str(v)) for v in (docker.host, store, folder / "files"))
    options = OPTIONS.format(host=host, store=place, scratch=scratch)
    (root / "pyproject.toml").write_text(PYPROJECT.format(digest=digest, python=PYTHON) + options)
    tool_images.load(docker, root)
    return Project(root, docker)


def left(docker: Docker) -> set[str]:
    """The containers and volumes of the engine, which other tests use too."""
    listed = (("ps", "--all", "--quiet"), ("volume", "ls", "--quiet"))
    return {name for words in listed for name in docker.run(*words).stdout.split()}


@pytest.fixture(scope="module")
def before(docker: Docker) -> set[str]:
    """What is there before these runs."""
    return left(docker)


@pytest.fixture(scope="module")
def runs(airflow_3: Airflow, project: Project, before: set[str]) -> dict[str, Run]:  # noqa: ARG001
    """A run of each pipeline, over; `again` is a second run of `programs`."""
    names = ("programs", *FAILING)
    airflow_3.deploy(dags(project, names, project.docker.registry), 300)
    found = airflow_3.wait([airflow_3.start_run(name, {}) for name in names], 600)
    (again,) = airflow_3.wait([airflow_3.start_run("programs", {})], 300)
    return {**dict(zip(names, found, strict=True)), "again": again}


def record(project: Project, run: Run, node: str) -> dict[str, Any]:
    store = str(project.root.parent / "store")
    found = records.records(store, run.dag_id, run.run_id)
    return next(each for each in found if each["node"] == node)


@pytest.mark.parametrize("name", ["programs", "again"])
def test_files_go_through_programs(project: Project, runs: dict[str, Run], name: str) -> None:
    run = runs[name]
    assert str(run.state) == "success", run.describe()
    store = str(project.root.parent / "store")
    outcome = records.run_folder(store, "programs", run.run_id) / "outcome.json"
    outputs = json.loads(outcome.read_text())["outputs"]
    assert [values.decode(tree, open_store(store)) for tree in outputs] == [
        *(2, "row\nrow\n", "été", 5.0),
    ]
    found = record(project, run, "count")
    assert found["environment"]["image"] == tool_images.TOOLS
    assert found["inputs"]["data"]["source"] == "write"
    assert found["cache"]["hit"] == (name == "again")
    assert found["attempt"] == 1


def test_a_program_that_fails(project: Project, runs: dict[str, Run]) -> None:
    run = runs["failing_later"]
    assert str(run.state) == "failed"
    failed = record(project, run, "fail_on")
    assert failed["error"]["type"] == "ProgramError"
    assert failed["error"]["message"] == "the program ended with exit code 3: hello $(USER)\nrow"


def test_an_output_that_is_not_written(project: Project, runs: dict[str, Run]) -> None:
    error = record(project, runs["forgetting"], "forget")["error"]
    assert "did not write the output 'lines': there is no /levada/out/lines" in error["message"]


def test_nothing_is_left(docker: Docker, before: set[str], runs: dict[str, Run]) -> None:
    assert runs
    assert left(docker) <= before
