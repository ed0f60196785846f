"""Pipelines in a real cluster: built into one image, applied, run, and looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada_backends.images.make_base import make_base
from levada_backends.kubernetes.manifests import Manifests
from levada_backends.kubernetes.options import Options
from levada_compiler.compilation import compile_file

if TYPE_CHECKING:
    from tests.cluster.cluster import Namespace

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
#: Where the pods have the namespace's claim.
STORE = "/var/lib/levada"
_PYPROJECT = """\
[project]
name = "steps"
version = "1"
dependencies = {requirements}

[tool.levada.images]
base = "oci:base.tar@{digest}"
python = "{python}"
"""
#: A step whose image has all modules of the project.
_EVERYTHING = """\
from levada import pipeline, step


@step(files=["**/*.py"])
def everything() -> None:
    {imports}


@pipeline
def all_of_it():
    everything()
"""


def build_image(root: Path, registry: str, requirements: tuple[str, ...] = ()) -> str:
    """Build one image with all modules in a folder and push it; give its reference."""
    digest = make_base(root / "base.tar")
    text = json.dumps(list(requirements))
    project = _PYPROJECT.format(digest=digest, python=PYTHON, requirements=text)
    (root / "pyproject.toml").write_text(project)
    imports = f"import {', '.join(requirements)}" if requirements else "pass"
    (root / "everything.py").write_text(_EVERYTHING.format(imports=imports))
    command = [str(Path(sys.executable).parent / "levada"), "build", "everything.py", "--json"]
    done = subprocess.run(
        [*command, "--push", f"{registry}/steps", "--insecure", registry],
        cwd=root,
        env=os.environ | {"LEVADA_CACHE_DIR": str(root.parent / "compiled")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    return str(image["reference"])


def manifests(module: Path, pipeline: str, image: str, **options: Any) -> Manifests:
    """What a pipeline is in a cluster of the tests."""
    compilation = compile_file(module, pipeline)
    assert compilation.program is not None, compilation.diagnostics
    given = {"image": image, "driver_image": image, "store": STORE, "store_claim": "store"}
    given |= options
    found = Options({name: value for name, value in given.items() if value is not None})
    assert not list(found.problems())
    return Manifests(compilation.program, found, "0")


@dataclass(frozen=True)
class Deployment:
    """A pipeline that was applied to a namespace."""

    space: Namespace
    made: Manifests

    @classmethod
    def apply(cls, space: Namespace, made: Manifests) -> Deployment:
        """Apply all of it."""
        objects = made.files()
        del objects["kustomization.yaml"]
        space.apply(*(one for several in objects.values() for one in several))
        return cls(space, made)

    def job(self, name: str, parameters: dict[str, Any] | None = None, **spec: Any) -> Any:
        """What `kubectl create job --from` makes, with parameters."""
        template = self.made.cron_job()["spec"]["jobTemplate"]
        container = template["spec"]["template"]["spec"]["containers"][0]
        if parameters is not None:
            text = json.dumps(parameters).replace("$", "$$")
            container["env"].append({"name": "LEVADA_PARAMS", "value": text})
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {**template["metadata"], "name": name},
            "spec": {**template["spec"], **spec},
        }

    def submit(
        self, name: str, parameters: dict[str, Any] | None = None, **spec: Any
    ) -> ClusterRun:
        """Start a run."""
        manifest = self.job(name, parameters, **spec)
        self.space.kubectl("create", "--filename=-", stdin=json.dumps(manifest))
        return ClusterRun(self, name, self.space.get("job", name)["metadata"]["uid"])


@dataclass(frozen=True)
class ClusterRun:
    """A run, by its driver's Job."""

    deployment: Deployment
    name: str
    uid: str

    @property
    def space(self) -> Namespace:
        return self.deployment.space

    @property
    def run_id(self) -> str:
        return f"{self.name}-{self.uid[:8]}"

    @property
    def folder(self) -> Path:
        """Its folder in the store, as this machine has it."""
        return self.space.store / "runs" / self.deployment.made.plan["pipeline"] / self.run_id

    def job(self) -> Any:
        """The driver's Job now."""
        return self.space.get("job", self.name)

    def progress(self) -> dict[str, Any]:
        """What the driver says of how far it is."""
        annotations = self.job()["metadata"].get("annotations") or {}
        found: dict[str, Any] = json.loads(annotations.get("levada.dev/progress", "{}"))
        return found

    def wait(self, seconds: float = 120) -> str:
        """Wait for the end of the driver's Job: `succeeded` or `failed`."""

        def ends() -> list[str]:
            conditions = self.job()["status"].get("conditions", ())
            return [one["type"] for one in conditions if one["status"] == "True"]

        self.until(lambda: {"Complete", "Failed"} & set(ends()), seconds)
        return "succeeded" if "Complete" in ends() else "failed"

    def until(self, condition: Any, seconds: float = 120) -> None:
        """Wait for something; its driver's log is in the error."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s; {self.log()}")
            time.sleep(0.3)

    def log(self) -> str:
        """Of the driver."""
        done = self.space.kubectl("logs", f"job/{self.name}", "--tail=40", check=False)
        return f"{done.stdout}\n{done.stderr}"

    def outcome(self) -> dict[str, Any]:
        """Its outcome.json."""
        found: dict[str, Any] = json.loads((self.folder / "outcome.json").read_text())
        return found

    def records(self) -> dict[str, dict[str, Any]]:
        """All records, by their paths in the run: `train/1`, `train/[0]/2`."""
        return {
            path.parent.relative_to(self.folder).as_posix(): json.loads(path.read_text())
            for path in sorted(self.folder.rglob("record.json"))
        }

    def jobs(self) -> list[Any]:
        """The steps' Jobs."""
        selector = f"--selector=levada.dev/run={self.uid}"
        return list(self.space.get("jobs", selector)["items"])

    def pods(self) -> list[Any]:
        """The steps' pods."""
        selector = f"--selector=levada.dev/run={self.uid}"
        return list(self.space.get("pods", selector)["items"])
