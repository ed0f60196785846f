"""Images that have neither Python nor Levada: only a static program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import images, packages
from tests.cluster.node import Containerd
from tests.engines.docker import Docker

TOOLS, COPIER = "levada.local/tools:1", "levada.local/copier:1"
_TOOLS = ("sh", "cat", "chmod", "cp", "echo", "sleep", "test", "wc")


def archives(folder: Path) -> list[Path]:
    """Write both; the second one has no shell, and an entry point."""
    busybox = Path(packages.program("busybox")).read_bytes()
    links = {f"bin/{tool}": "busybox" for tool in _TOOLS}
    tools, copier = folder / "tools.tar", folder / "copier.tar"
    images.write(tools, TOOLS, {"bin/busybox": busybox}, links, "/bin/busybox", user="")
    images.write(copier, COPIER, {"busybox": busybox}, entrypoint="/busybox", user="")
    return [tools, copier]


def load(docker: Docker, folder: Path) -> None:
    """Have both in an engine."""
    for archive in archives(folder):
        docker.run("load", "--input", str(archive))


def import_into(containerd: Containerd, folder: Path) -> None:
    """Have both on the node of a cluster, by their names."""
    for archive in archives(folder):
        done = containerd.ctr("images", "import", str(archive))
        assert done.returncode == 0, done.stderr


def engine_for(has_programs: bool, request: pytest.FixtureRequest) -> str:
    """The Docker engine that has both, for plain Python; nothing where no program is run."""
    if not has_programs:
        return ""
    docker: Docker = request.getfixturevalue("docker")
    load(docker, docker.folder)
    return docker.host
