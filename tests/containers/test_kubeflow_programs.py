"""Container steps in KFP's local runner, on a real Docker engine."""

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
from tests.conformance.engines.docker import PYPROJECT, PYTHON, Project
from tests.conformance.engines.kubeflow import STORE
from tests.containers import tool_images
from tests.engines.docker import Docker
from tests.engines.kubeflow import Kubeflow

pytestmark = pytest.mark.engine
PIPELINES = ("programs", "forgetting")


@pytest.fixture(scope="module")
def ended(
    docker: Docker, kubeflow: Kubeflow, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[dict[str, Any], Path]]:
    """How each pipeline ended, and its store."""
    folder = tmp_path_factory.mktemp("kubeflow-programs")
    root = folder / "project"
    root.mkdir()
    shutil.copy(Path(__file__).parent / "cases" / "programs.py", root)
    digest = make_base(root / "base.tar")
    (root / "pyproject.toml").write_text(PYPROJECT.format(digest=digest, python=PYTHON))
    tool_images.load(docker, root)
    project, runs = Project(root, docker), []
    for name in PIPELINES:
        reference, store = f"programs.py:{name}", folder / name
        store.mkdir()
        for words in (
            ("build", reference, "--push", f"{docker.registry}/cases"),
            ("compile", reference, "--target", "kubeflow", "-o", "compiled"),
        ):
            done = project.levada(*words)
            assert not done.returncode, done.stderr
        file = root / "compiled" / f"{name}.yaml"
        runs.append({"file": str(file), "arguments": {}, "mounts": {str(store): STORE}})
    found = kubeflow.run(runs, docker.host, folder / "outputs", seconds=500)
    return {name: (each, folder / name) for name, each in zip(PIPELINES, found, strict=True)}


def test_files_go_through_programs(ended: dict[str, tuple[dict[str, Any], Path]]) -> None:
    said, store = ended["programs"]
    assert not said["error"], said["log"]
    (run,) = (store / "runs" / "programs").glob("*")
    outcome = json.loads((run / "outcome.json").read_text())
    found = [values.decode(tree, open_store(str(store))) for tree in outcome["outputs"]]
    assert found == [2, "row\nrow\n", "été", 5.0]
    by_node = {each["node"]: each for each in records.records(str(store), "programs", run.name)}
    assert by_node["count"]["environment"]["image"] == tool_images.TOOLS
    assert by_node["count"]["inputs"]["data"]["source"] == "write"
    assert by_node["count"]["attempt"] == 1


def test_an_output_that_is_not_written(ended: dict[str, tuple[dict[str, Any], Path]]) -> None:
    said, store = ended["forgetting"]
    assert said["error"]
    (run,) = (store / "runs" / "forgetting").glob("*")
    (found,) = (r for r in records.records(str(store), "forgetting", run.name) if r["error"])
    assert "there is no /levada/out/lines" in found["error"]["message"]
