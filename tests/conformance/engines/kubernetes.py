"""Cases as Jobs of a real cluster, applied and submitted as a user would."""

from __future__ import annotations

import shutil
from threading import Lock
from typing import TYPE_CHECKING

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.conformance.engines import pods
from tests.driver.deployment import Deployment, build_image, manifests

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.cluster import Namespace
    from tests.conformance.trace import Trace

AT_A_TIME = 5
_SECONDS = 300


class Project:
    """All cases in one project, with an image for all of their steps."""

    def __init__(self, space: Namespace, registry: str, folder: Path) -> None:
        self._space = space
        self._root = folder / "project"
        shutil.copytree(CASES, self._root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
        self._image = build_image(self._root, registry, ("pandas", "pyarrow", "pydantic"))
        self._deploying = Lock()

    def run(self, case: Case) -> Trace:
        """What a case did; the pipeline is applied for it."""
        made = manifests(self._root / case.module.name, case.pipeline, self._image, indexed_from=3)
        name = f"c-{case.id}".replace("_", "-").lower()
        with self._deploying:  # `kubectl apply` of the same names at once: one finds them made
            deployment = Deployment.apply(self._space, made)
        run = deployment.submit(name, pods.parameters(case, self._space.store))
        status = run.wait(_SECONDS)
        outputs = run.outcome()["outputs"]
        return records.trace(str(self._space.store), case.pipeline, run.run_id, status, outputs)
