"""Cases as Jobs of a real cluster, applied and submitted as a user would."""

from __future__ import annotations

import shutil
from threading import Lock
from typing import TYPE_CHECKING, Any

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.conformance.engines import pods
from tests.driver.deployment import Deployment, build_image, manifests

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.cluster import Namespace
    from tests.conformance.trace import Trace
    from tests.engines.object_stores.servers import Bucket

AT_A_TIME = 5
_SECONDS = 300
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class Project:
    """All cases in one project, with an image for all of their steps.

    Their store is the namespace's claim, or a `bucket` whose server the pods can reach.
    """

    def __init__(
        self, space: Namespace, registry: str, folder: Path, bucket: Bucket | None = None
    ) -> None:
        self._space = space
        self._store = str(space.store)
        self._options: dict[str, Any] = {"indexed_from": 3}
        if bucket is not None:
            self._store = bucket.url
            self._options |= in_bucket(space, bucket)
        self._root = folder / "project"
        shutil.copytree(CASES, self._root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
        client = () if bucket is None else ("obstore",)
        packages = ("pandas", "pyarrow", "pydantic", *client)
        self._image = build_image(self._root, registry, packages)
        self._deploying = Lock()

    def run(self, case: Case) -> Trace:
        """What a case did; the pipeline is applied for it."""
        made = manifests(self._root / case.module.name, case.pipeline, self._image, **self._options)
        name = f"c-{case.id}".replace("_", "-").lower()
        with self._deploying:  # `kubectl apply` of the same names at once: one finds them made
            deployment = Deployment.apply(self._space, made)
        run = deployment.submit(name, pods.parameters(case, self._space.store))
        status = run.wait(_SECONDS)
        outputs = records.outputs(self._store, case.pipeline, run.run_id)
        return records.trace(self._store, case.pipeline, run.run_id, status, outputs)


def in_bucket(space: Namespace, bucket: Bucket) -> dict[str, Any]:
    """The options of a pipeline whose store is in a bucket; its keys are in a Secret."""
    keys = {n: v for n, v in bucket.environment.items() if n in _KEYS}
    metadata = {"name": "bucket", "namespace": space.name}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": keys}
    space.apply(secret)
    return {
        "store": bucket.url,
        "store_claim": None,
        "store_environment": {n: v for n, v in bucket.environment.items() if n not in _KEYS},
        "store_secrets": {name: f"bucket/{name}" for name in keys},
    }
