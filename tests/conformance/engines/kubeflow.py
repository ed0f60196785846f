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

from levada_backends.images.make_base import make_base
from levada_backends.kubeflow.run_parameters import as_given

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.conformance.engines.docker import PYPROJECT, PYTHON
from tests.conformance.trace import Trace
from tests.engines.docker import Docker
from tests.engines.kubeflow import Kubeflow

STORE = "/var/lib/levada"


@dataclass(frozen=True)
class Project:
    """All cases in one project, so that its versions are locked once."""

    root: Path
    docker: Docker
    kubeflow: Kubeflow

    def compiled(self, case: Case) -> Path:
        """Build the images of a case, push them, and compile it for these."""
        reference = f"{case.module.name}:{case.pipeline}"
        self._levada("build", reference, "--push", f"{self.docker.registry}/cases")
        self._levada("compile", reference, "--target", "kubeflow", "-o", "compiled")
        return self.root / "compiled" / f"{case.pipeline}.yaml"

    def run(self, case: Case, file: Path, folder: Path) -> dict[str, Any]:
        """What the local runner is asked to do for a case, in a folder of its own."""
        store = folder / "store"
        store.mkdir(parents=True)
        given = case.given(folder / "kubeflow")
        scratch = str(folder / "kubeflow")
        mounts = {str(store): STORE, scratch: scratch}
        return {"file": str(file), "arguments": as_given(file.read_text(), given), "mounts": mounts}

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


def make_project(folder: Path, docker: Docker, kubeflow: Kubeflow) -> Project:
    """Copy the cases to where they have requirements and a base image."""
    root = folder / "project"
    shutil.copytree(CASES, root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
    digest = make_base(root / "base.tar")
    text = PYPROJECT.format(digest=digest, python=PYTHON)
    (root / "pyproject.toml").write_text(text)
    return Project(root, docker, kubeflow)


def trace(case: Case, folder: Path, ended: dict[str, Any]) -> Trace:
    """What a run did, by its records; that it succeeded has to be said by both."""
    store = str(folder / "store")
    runs = list((Path(store) / "runs" / case.pipeline).glob("*"))
    if len(runs) != 1:
        raise AssertionError(f"{len(runs)} runs of {case.id}:\n{ended['log']}\n{ended['error']}")
    outcome = runs[0] / "outcome.json"
    outputs: list[Any] = json.loads(outcome.read_text())["outputs"] if outcome.exists() else []
    status = "failed" if ended["error"] else "succeeded"
    return records.trace(store, case.pipeline, runs[0].name, status, outputs)
