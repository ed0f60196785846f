"""A container step on a real Kubeflow Pipelines, whose conditions and exit tasks are Argo's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import records
from tests.conformance.engines.kubeflow_server import SETTINGS
from tests.driver.deployment import build_image
from tests.engines import kubeflow_command
from tests.engines.kubeflow import Kubeflow
from tests.engines.kubeflow_server import Server

#: The program gets the image of the steps, for the cluster has no other; it sees no Levada.
PIPELINE = '''\
from levada import container, pipeline, step

PROGRAM = """
import sys

print("the program runs")
text = open(sys.argv[1]).read()
if text == "3":
    sys.exit(3)
open(sys.argv[2], "w").write(text * 2)
"""
repeat = container(
    "{image}",
    command=["python", "-c", PROGRAM],
    args=["/levada/in/n", "/levada/out/repeated"],
    inputs={{"n": int}},
    outputs={{"repeated": int}},
)


@step
def add(n: int) -> int:
    return n + 1


@pipeline
def repeating(n: int = 1):
    return add(repeat(n=n))
'''


class Runs:
    """A project whose image is in the cluster's registry, and its runs one after the other."""

    def __init__(self, server: Server, kubeflow: Kubeflow, folder: Path) -> None:
        self._store = server.store
        self._python = kubeflow.python
        self._root = folder / "project"
        self._root.mkdir()
        file = self._root / "pipeline.py"
        file.write_text(PIPELINE.format(image="none"))  # its step is in the image
        image = build_image(self._root, server.registry)
        file.write_text(PIPELINE.format(image=image))
        (self._root / "levada.lock").unlink()
        with (self._root / "pyproject.toml").open("a") as file:
            file.write(SETTINGS.format(image=image, host=server.url))
        self._levada("deploy", "pipeline.py")

    def run(self, n: int) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """What is said of a run when it is over, and the records of its nodes."""
        text = self._levada("submit", "pipeline.py", "--param", f"n={n}", "--watch", "--json")
        said: dict[str, Any] = json.loads(text[text.index("{") :])
        found = records.records(str(self._store), "repeating", said["run_id"])
        return said, {record["node"]: record for record in found}

    def _levada(self, command: str, *words: str) -> str:
        given = (command, words[0], "--target", "kubeflow", *words[1:])
        home = self._root.parent / "home"
        done = kubeflow_command.run(self._python, self._root, home, *given)
        assert done.returncode <= (command == "submit"), done.stdout + done.stderr
        return done.stdout


def test_programs(
    kubeflow_server: Server, kubeflow: Kubeflow, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One that runs, one that the cache answers, and one that fails."""
    runs = Runs(kubeflow_server, kubeflow, tmp_path_factory.mktemp("server-programs"))
    said, first = runs.run(1)
    assert said["status"] == "succeeded", said
    assert not first["repeat"]["cache"]["hit"]
    said, again = runs.run(1)
    assert said["status"] == "succeeded", said
    assert again["repeat"]["cache"]["hit"]
    assert again["repeat"]["cache"]["from"]["run_id"] == first["repeat"]["run_id"]
    for found in (first, again):
        assert found["repeat"]["attempt"] == 1
        assert found["add"]["outputs"] == first["add"]["outputs"]
        assert found["add"]["returns"] == first["add"]["returns"]
        assert found["add"]["inputs"]["n"]["tree"] == 11
    said, failed = runs.run(3)
    assert said["status"] == "failed", said
    assert failed.keys() == {"repeat"}
    assert failed["repeat"]["status"] == "failed"
    message = failed["repeat"]["error"]["message"]
    assert message.startswith("the program failed: KFP's log of the task `repeat-program`")
