"""A real Airflow whose tasks are containers of images that `levada build` has pushed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.case import Case
from tests.conformance.engines.docker import Cases, make_project
from tests.engines.airflow import Airflow, Run
from tests.engines.docker import Docker
from tests.engines.object_stores.servers import Bucket

OPTIONS = """
[tool.levada.targets.airflow]
executor = "docker"
docker_url = {host}
network_mode = "none"
user = 0
store = {store}
volumes = [{{claim = {store}, path = {store}}}, {{claim = {scratch}, path = {scratch}}}]
"""
#: Containers reach the bucket's server, which listens on the loopback of this machine.
IN_BUCKET = """
[tool.levada.targets.airflow]
executor = "docker"
docker_url = {host}
network_mode = "host"
user = 0
store = {store}
volumes = [{{claim = {scratch}, path = {scratch}}}]
"""


@dataclass(frozen=True)
class ContainerProject:
    """All cases, to be run by one Airflow; every container has `scratch`, and the `store`.

    That is a folder, or the URL of a place in a bucket.
    """

    project: Cases
    registry: str
    store: Path | str
    scratch: Path

    def start_all(self, server: Airflow, cases: list[Case]) -> dict[str, Run]:
        """Build, compile and deploy the cases, start every run, and tell them by their ids."""
        texts = {f"{case.pipeline}.py": self._compiled(case) for case in cases}
        server.deploy(texts, 300)
        return {
            case.id: server.start_run(case.pipeline, case.given(self.scratch / case.id))
            for case in cases
        }

    def _compiled(self, case: Case) -> str:
        reference = f"{case.module.name}:{case.pipeline}"
        self._levada("build", reference, "--push", self.registry, "--insecure", self.registry)
        self._levada("compile", reference, "--target", "airflow", "-o", "dags")
        return (self.project.root / "dags" / f"{case.pipeline}.py").read_text()

    def _levada(self, *arguments: str) -> None:
        done = self.project.levada(*arguments)
        if done.returncode:
            raise AssertionError(f"levada {' '.join(arguments)}:\n{done.stderr}")


def make(folder: Path, docker: Docker, bucket: Bucket | None = None) -> ContainerProject:
    """Copy the cases to where they have requirements, a base image and options of the target."""
    project = make_project(folder, docker)
    scratch = folder / "files"
    store = folder / "store" if bucket is None else bucket.url
    for place in (scratch, store):
        if isinstance(place, Path):
            place.mkdir()
    host, where, files = (json.dumps(str(value)) for value in (docker.host, store, scratch))
    options = OPTIONS if bucket is None else IN_BUCKET
    with (project.root / "pyproject.toml").open("a") as file:
        file.write(options.format(host=host, store=where, scratch=files))
    return ContainerProject(project, docker.registry, store, scratch)
