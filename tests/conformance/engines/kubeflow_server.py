"""Cases on a real Kubeflow Pipelines: deployed, submitted and watched by the command line."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.conformance.trace import Trace
from tests.driver.deployment import STORE, build_image
from tests.engines import kubeflow_command
from tests.engines.kubeflow import Kubeflow
from tests.engines.kubeflow_server import Server

_AT_A_TIME = 4
_SETTINGS = """
[tool.levada.targets.kubeflow]
image = "{image}"
host = "{host}"
namespace = "kubeflow"
"""


class Runs:
    """The runs of cases, a few at a time."""

    def __init__(self, server: Server, kubeflow: Kubeflow, folder: Path) -> None:
        self._server = server
        self._kubeflow = kubeflow
        self._root = folder / "project"
        shutil.copytree(CASES, self._root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
        image = build_image(self._root, server.registry, ("pandas", "pyarrow"))
        (self._root / "levada.lock").unlink()  # of one image for all; steps are not looked up in it
        with (self._root / "pyproject.toml").open("a") as file:
            file.write(_SETTINGS.format(image=image, host=server.url))
        self._pool = ThreadPoolExecutor(_AT_A_TIME)
        self._futures: dict[str, Future[Trace]] = {}

    def start(self, cases: list[Case]) -> None:
        """Have all of them run."""
        for case in cases:
            self._futures[case.id] = self._pool.submit(self._run, case)

    def result(self, case: Case) -> Trace:
        """What a case did; waits for its end."""
        return self._futures[case.id].result()

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, case: Case) -> Trace:
        reference = f"{case.name}.py:{case.pipeline}"
        self._levada("deploy", reference, "--target", "kubeflow")
        parameters = self._root.parent / f"{case.id}.json"
        parameters.write_text(json.dumps(self._parameters(case)))
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

    def _parameters(self, case: Case) -> dict[str, Any]:
        """With the folder that a case may write to where the pods see it."""
        folder = self._server.store / "given" / case.id
        given = case.given(folder)
        for place in (folder, *folder.rglob("*")):
            place.chmod(0o777)
        text = json.dumps(given).replace(str(self._server.store), STORE)
        parameters: dict[str, Any] = json.loads(text)
        return parameters
