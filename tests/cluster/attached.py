"""The cluster that `python -m tests.cluster start` left running."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from . import programs
from .cluster import ApiServer, Cluster


def state_file(*, api_only: bool) -> Path:
    """What the tool writes when its cluster is ready."""
    return programs.beside("api" if api_only else "cluster")


def state(running: ApiServer) -> dict[str, Any]:
    """What is needed to use it from another process."""
    fields = {"kubeconfig": str(running.kubeconfig), "folder": str(running.folder)}
    if isinstance(running, Cluster):
        fields |= {"host": running.host, "registry": running.registry}
    return {"pid": os.getpid(), **fields}


def find(*, api_only: bool) -> ApiServer | None:
    """The one that runs and answers; none with LEVADA_ENGINES_FRESH set."""
    pid = server_process(api_only=api_only)
    if pid is None or os.environ.get("LEVADA_ENGINES_FRESH"):
        return None
    said = json.loads(state_file(api_only=api_only).read_text())
    kubeconfig, folder = Path(said["kubeconfig"]), Path(said["folder"])
    running: ApiServer
    if api_only:
        running = ApiServer(kubeconfig, folder)
    else:
        running = Cluster(kubeconfig, folder, said["host"], said["registry"])
    return running if running.is_ready() else None


def server_process(*, api_only: bool) -> int | None:
    """The process that keeps it, if it is there."""
    try:
        pid = int(json.loads(state_file(api_only=api_only).read_text())["pid"])
    except FileNotFoundError:
        return None
    return pid if is_tool(pid) else None


def is_tool(pid: int) -> bool:
    """Whether it is there and still the tool: ids are used again."""
    try:
        return b"tests.cluster" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
