"""Cases on a real Kubeflow Pipelines: deployed, submitted and watched by the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.conformance.engines import pods
from tests.conformance.trace import Trace
from tests.driver.deployment import build_image
from tests.engines import kubeflow_command
from tests.engines.kubeflow import Kubeflow
from tests.engines.kubeflow_server import Server

AT_A_TIME = 4
SETTINGS = """
[tool.levada.targets.kubeflow]
image = "{image}"
host = "{host}"
namespace = "kubeflow"
"""


class Project:
    """All cases in one project, with an image for all of their steps."""

    def __init__(self, server: Server, kubeflow: Kubeflow, folder: Path) -> None:
        self._server = server
        self._kubeflow = kubeflow
        self._root = folder / "project"
        shutil.copytree(CASES, self._root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
        image = build_image(self._root, server.registry, ("pandas", "pyarrow", "pydantic"))
        (self._root / "levada.lock").unlink()  # of one image for all; steps are not looked up in it
        with (self._root / "pyproject.toml").open("a") as file:
            file.write(SETTINGS.format(image=image, host=server.url))

    def run(self, case: Case) -> Trace:
        """What a case did; the pipeline is deployed for it."""
        reference = f"{case.module.name}:{case.pipeline}"
        self._levada("deploy", reference, "--target", "kubeflow")
        parameters = self._root.parent / f"{case.id}.json"
        parameters.write_text(json.dumps(pods.parameters(case, self._server.store)))
        given = ("--params-file", str(parameters), "--watch", "--json")
        text = self._levada("submit", reference, "--target", "kubeflow", *given)
        said = json.loads(text[text.index("{") :])
        outcome = self._server.store / "runs" / case.pipeline / said["run_id"] / "outcome.json"
        outputs: list[Any] = json.loads(outcome.read_text())["outputs"] if outcome.exists() else []
        store = str(self._server.store)
        return records.trace(store, case.pipeline, said["run_id"], said["status"], outputs)

    def _levada(self, *words: str) -> str:
        done = kubeflow_command.run(
            self._kubeflow.python, self._root, self._root.parent / "home", *words
        )
        if done.returncode > 1 or ("{" not in done.stdout and done.returncode):
            raise AssertionError(f"levada {' '.join(words)}:\n{done.stdout}{done.stderr}")
        return done.stdout
