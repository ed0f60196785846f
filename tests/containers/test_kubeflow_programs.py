"""Container steps in KFP's local runner, on a real Docker engine."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from levada import values
from levada.store import open_store
from levada_backends.images.make_base import make_base

from tests.conformance import records
from tests.conformance.engines.docker import PYPROJECT, PYTHON, Project
from tests.conformance.engines.kubeflow import STORE
from tests.containers import tool_images
from tests.containers.compiling import compiled
from tests.engines.docker import Docker
from tests.engines.kubeflow import Kubeflow

pytestmark = pytest.mark.engine
#: The runs one after the other, all with one store: what each is called, its pipeline and its rows.
RUNS = (
    ("programs", "programs", 2),
    ("again", "programs", 2),
    ("more", "programs", 3),
    ("measuring", "measuring", 1),
    ("refusing", "refusing", 1),
    ("forgetting", "forgetting", 1),
)


@dataclass(frozen=True)
class Ended:
    """A run that is over: what the runner said, and the records of its nodes."""

    said: dict[str, Any]
    folder: Path
    outputs: list[Any]
    records: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def ended(
    docker: Docker, kubeflow: Kubeflow, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Ended]:
    """How each run ended."""
    folder = tmp_path_factory.mktemp("kubeflow-programs")
    root, store = folder / "project", folder / "store"
    for place in (root, store):
        place.mkdir()
    shutil.copy(Path(__file__).parent / "cases" / "programs.py", root)
    digest = make_base(root / "base.tar")
    (root / "pyproject.toml").write_text(PYPROJECT.format(digest=digest, python=PYTHON))
    tool_images.load(docker, root)
    project, push = Project(root, docker), f"{docker.registry}/cases"
    for name in sorted({pipeline for _, pipeline, _ in RUNS}):
        compiled(project, name, "kubeflow", push)
    runs = [
        {
            "file": str(root / "compiled" / f"{pipeline}.yaml"),
            "arguments": {"rows": rows},
            "mounts": {str(store): STORE},
        }
        for _, pipeline, rows in RUNS
    ]
    found = kubeflow.run(runs, docker.host, folder / "outputs", seconds=900)
    names = [name for name, *_ in RUNS]
    return {
        name: _ended(store, said, run)
        for name, said, run in zip(names, found, _in_order(store), strict=True)
    }


def _in_order(store: Path) -> list[Path]:
    """The folders of the runs, as they were begun."""
    found = (store / "runs").glob("*/*/run.json")
    return [file.parent for file in sorted(found, key=_created)]


def _created(file: Path) -> str:
    return str(json.loads(file.read_text())["created"])


def _ended(store: Path, said: dict[str, Any], folder: Path) -> Ended:
    outcome = folder / "outcome.json"
    trees = json.loads(outcome.read_text())["outputs"] if outcome.exists() else []
    outputs = [values.decode(tree, open_store(str(store))) for tree in trees]
    found = records.records(str(store), folder.parent.name, folder.name)
    return Ended(said, folder, outputs, {each["node"]: each for each in found})


def test_files_go_through_programs(ended: dict[str, Ended]) -> None:
    run = ended["programs"]
    assert not run.said["error"], run.said["log"]
    assert run.outputs == [2, "row\nrow\n", "été", 5.0]
    count = run.records["count"]
    assert count["environment"]["image"] == tool_images.TOOLS
    assert count["inputs"]["data"]["source"] == "write"
    assert (count["attempt"], count["cache"]["hit"]) == (1, False)
    assert "count-program" in run.said["log"]


def test_what_the_cache_has_is_not_run_again(ended: dict[str, Ended]) -> None:
    run = ended["again"]
    assert not run.said["error"], run.said["log"]
    assert run.outputs == ended["programs"].outputs
    for node in ("count", "copy", "measure"):
        assert run.records[node]["cache"]["hit"]
        assert run.records[node]["outputs"] == ended["programs"].records[node]["outputs"]
        assert f"{node}-program" not in run.said["log"]


def test_another_input_runs_the_program_again(ended: dict[str, Ended]) -> None:
    run = ended["more"]
    assert run.outputs == [3, "row\nrow\nrow\n", "été", 5.0], run.said["log"]
    assert not run.records["count"]["cache"]["hit"]
    assert run.records["measure"]["cache"]["hit"]


def test_two_calls_of_a_program(ended: dict[str, Ended]) -> None:
    run = ended["measuring"]
    assert not run.said["error"], run.said["log"]
    assert run.outputs == [4.0, 2.0]


def test_a_program_that_fails(ended: dict[str, Ended]) -> None:
    """KFP tells nobody with which exit code."""
    run = ended["refusing"]
    assert run.said["error"]
    found = run.records["refuse"]
    assert (found["status"], found["attempt"]) == ("failed", 1)
    assert found["inputs"]["data"]["source"] == "write"
    assert found["error"]["type"] == "ProgramError"
    said = "the program failed: KFP's log of the task `refuse-program` has what it printed"
    assert found["error"]["message"].startswith(said)
    assert said in (run.folder / "refuse" / "1" / "log").read_text()


def test_an_output_that_is_not_written(ended: dict[str, Ended]) -> None:
    run = ended["forgetting"]
    assert run.said["error"]
    assert run.records.keys() == {"write", "forget"}
    message = run.records["forget"]["error"]["message"]
    assert "there is no /levada/out/lines" in message
