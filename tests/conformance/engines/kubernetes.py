"""Cases as Jobs of a real cluster: an image for all, and runs of it beside each other."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.driver.deployment import STORE, Deployment, build_image, manifests

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.cluster import Namespace
    from tests.conformance.trace import Trace

_AT_A_TIME = 5
_SECONDS = 300


class Runs:
    """The runs of cases, a few at a time."""

    def __init__(self, space: Namespace, registry: str, folder: Path) -> None:
        self._space = space
        self._root = folder / "project"
        shutil.copytree(CASES, self._root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
        self._image = build_image(self._root, registry, ("pandas", "pyarrow"))
        self._pool = ThreadPoolExecutor(_AT_A_TIME)
        self._deploying = Lock()
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
        made = manifests(self._root / f"{case.name}.py", case.pipeline, self._image, indexed_from=3)
        name = f"c-{case.id}".replace("_", "-").lower()
        with self._deploying:  # `kubectl apply` of the same names at once: one finds them made
            deployment = Deployment.apply(self._space, made)
        run = deployment.submit(name, self._parameters(case))
        status = run.wait(_SECONDS)
        outputs = run.outcome()["outputs"]
        return records.trace(str(self._space.store), case.pipeline, run.run_id, status, outputs)

    def _parameters(self, case: Case) -> dict[str, Any]:
        """With the folder that a case may write to where the pods see it."""
        folder = self._space.store / "given" / case.id
        given = case.given(folder)
        for place in (folder, *folder.rglob("*")):
            place.chmod(0o777)
        text = json.dumps(given).replace(str(self._space.store), STORE)
        parameters: dict[str, Any] = json.loads(text)
        return parameters
