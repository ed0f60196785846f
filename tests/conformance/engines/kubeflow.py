"""KFP's local runner: cases compiled and built by the command line, each task in a container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levada.store import open_store
from levada_backends.images.make_base import make_base
from levada_backends.kubeflow.run_parameters import as_given

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.conformance.engines.docker import PYPROJECT, PYTHON
from tests.conformance.trace import Trace
from tests.engines.docker import Docker
from tests.engines.kubeflow import Kubeflow
from tests.engines.object_stores.servers import Bucket

STORE = "/var/lib/levada"
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Project:
    """All cases in one project, so that its versions are locked once.

    Their store is a folder of each run, or a `bucket`.
    """

    root: Path
    docker: Docker
    kubeflow: Kubeflow
    bucket: Bucket | None = None

    def compiled(self, case: Case) -> Path:
        """Build the images of a case, push them, and compile it for these."""
        reference = f"{case.module.name}:{case.pipeline}"
        self._levada("build", reference, "--push", f"{self.docker.registry}/cases")
        self._levada("compile", reference, "--target", "kubeflow", "-o", "compiled")
        return self.root / "compiled" / f"{case.pipeline}.yaml"

    def run(self, case: Case, file: Path, folder: Path) -> dict[str, Any]:
        """What the local runner is asked to do for a case, in a folder of its own."""
        given = case.given(folder / "kubeflow")
        scratch = str(folder / "kubeflow")
        arguments = as_given(file.read_text(), given)
        asked = {"file": str(file), "arguments": arguments, "mounts": {scratch: scratch}}
        if self.bucket is not None:
            secrets = {name: self.bucket.environment[name] for name in _KEYS}
            return {**asked, "network": "host", "secrets": secrets}
        store = folder / "store"
        store.mkdir(parents=True)
        asked["mounts"][str(store)] = STORE
        return asked

    def _levada(self, *arguments: str) -> None:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "levada"), *arguments],
            cwd=self.root,
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"levada {' '.join(arguments)}:\n{done.stderr}")

    @property
    def _variables(self) -> dict[str, str]:
        cache = self.root.parent / "cache"
        own = {"XDG_CACHE_HOME": str(cache), "LEVADA_CACHE_DIR": str(cache / "compiled")}
        return os.environ | own | {"DOCKER_HOST": self.docker.host}


def make_project(
    folder: Path, docker: Docker, kubeflow: Kubeflow, bucket: Bucket | None = None
) -> Project:
    """Copy the cases to where they have requirements and a base image, and perhaps a bucket."""
    root = folder / "project"
    shutil.copytree(CASES, root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
    digest = make_base(root / "base.tar")
    text = PYPROJECT.format(digest=digest, python=PYTHON)
    text += "" if bucket is None else _in_bucket(bucket)
    (root / "pyproject.toml").write_text(text)
    return Project(root, docker, kubeflow, bucket)


def _in_bucket(bucket: Bucket) -> str:
    """The settings of a project whose store is in a bucket, with its keys in a Secret."""
    places = {n: v for n, v in bucket.environment.items() if n not in _KEYS}
    tables = {
        "": {"store": bucket.url},
        ".targets.kubeflow.store_environment": places,
        ".targets.kubeflow.store_secrets": {name: f"bucket/{name}" for name in _KEYS},
    }
    lines = []
    for name, table in tables.items():
        lines += ["", f"[tool.levada{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def trace(case: Case, store: str, ended: dict[str, Any]) -> Trace:
    """What a run did, by its records; that it succeeded has to be said by both.

    It has to be the only run of its pipeline in the store.
    """
    runs = open_store(store).list(f"runs/{case.pipeline}")
    if len(runs) != 1:
        raise AssertionError(f"{len(runs)} runs of {case.id}:\n{ended['log']}\n{ended['error']}")
    outputs = records.outputs(store, case.pipeline, runs[0])
    status = "failed" if ended["error"] else "succeeded"
    return records.trace(store, case.pipeline, runs[0], status, outputs)
