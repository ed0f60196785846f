"""The local engine with every step in a container of its own, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from levada_backends.images.make_base import make_base

from tests.conformance import records
from tests.conformance.case import CASES, Case
from tests.conformance.trace import Trace
from tests.engines.docker import Docker
from tests.engines.object_stores.servers import Bucket

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PYPROJECT = """\
[project]
name = "cases"
version = "1"
dependencies = ["pandas", "pydantic", "annotated-types"]

[tool.levada.images]
base = "oci:base.tar@{digest}"
python = "{python}"
"""


@dataclass(frozen=True)
class Cases:
    """All cases in one project, so that its versions are locked once."""

    root: Path

    def levada(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the project; nothing stays in the user's caches."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "levada"), *arguments],
            cwd=self.root,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the command."""
        cache = self.root.parent / "cache"
        own = {"XDG_CACHE_HOME": str(cache), "LEVADA_CACHE_DIR": str(cache / "compiled")}
        return os.environ | own


@dataclass(frozen=True)
class Project(Cases):
    """The cases, to be run through a Docker engine; perhaps with their store in a bucket."""

    docker: Docker
    bucket: Bucket | None = None

    def run(self, case: Case, folder: Path) -> Trace:
        """Run one case with an empty store; what it may write to is mounted."""
        store = str(folder / "store") if self.bucket is None else f"{self.bucket.url}/{case.id}"
        parameters = folder / "parameters.json"
        parameters.write_text(json.dumps(case.given(folder / "docker")))
        done = self.levada(
            *("run", f"{case.module.name}:{case.pipeline}", "--params-file", str(parameters)),
            *("--store", store, "--mount", str(folder / "docker"), "--json"),
            *("--executor", "docker"),
            *(() if self.bucket is None else ("--network", "host")),
        )
        if done.returncode > 1 or not done.stdout:
            raise AssertionError(f"levada run exited {done.returncode}:\n{done.stderr}")
        said = json.loads(done.stdout)
        outputs = records.outputs(store, case.pipeline, said["run_id"])
        return records.trace(store, case.pipeline, said["run_id"], said["status"], outputs)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the command."""
        return super().variables | {"DOCKER_HOST": self.docker.host}


def make_project(folder: Path, docker: Docker, bucket: Bucket | None = None) -> Project:
    """Copy the cases for that engine; a project whose store is in a bucket says so."""
    root = copy_cases(folder).root
    if bucket is not None:
        with (root / "pyproject.toml").open("a") as file:
            file.write(f'\n[tool.levada]\nstore = "{bucket.url}"\n')
    return Project(root, docker, bucket)


def copy_cases(folder: Path) -> Cases:
    """Copy the cases to where they have requirements and a base image."""
    root = folder / "project"
    shutil.copytree(CASES, root, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
    digest = make_base(root / "base.tar")
    (root / "pyproject.toml").write_text(PYPROJECT.format(digest=digest, python=PYTHON))
    return Cases(root)
