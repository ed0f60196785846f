"""Images of a few static programs, as archives that a container runtime loads."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import packages

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(
    target: Path,
    name: str,
    programs: Mapping[str, bytes],
    links: Mapping[str, str] | None = None,
    entrypoint: str = "/bin/sh",
    user: str = "65535:65535",
) -> None:
    """Write an image of programs, and links to them, as `docker save` would."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, content in programs.items():
            _add(tar, path, content, 0o755)
        for path, to in (links or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            tar.addfile(entry)
    config = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [entrypoint], "User": user},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"],
        },
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as tar:
        _add(tar, "layer.tar", layer.getvalue())
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def write_shell(target: Path) -> None:
    """An image with a shell and the usual small tools, which Airflow's sidecar needs."""
    busybox = Path(packages.program("busybox")).read_bytes()
    tools = ("sh", "cat", "echo", "id", "kill", "pgrep", "sleep", "test")
    links = {f"bin/{tool}": "busybox" for tool in tools}
    write(target, "levada.local/shell:1", {"bin/busybox": busybox}, links)


def copy_without_names(archive: Path, target: Path) -> None:
    """Copy an image's archive, leaving out what an OCI index in it calls the image."""
    with tarfile.open(archive) as source, tarfile.open(target, "w") as copy:
        for entry in source:
            content = source.extractfile(entry)
            if entry.name.removeprefix("./") == "index.json" and content is not None:
                index = json.load(content)
                for one in index["manifests"]:
                    one.pop("annotations", None)
                _add(copy, "index.json", json.dumps(index).encode())
            else:
                copy.addfile(entry, content)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
