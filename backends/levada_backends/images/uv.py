"""The program uv, which locks requirements and builds packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from .image import ImageError

_INSTALL = "pip install levada"


def find() -> str:
    """Give the path of uv: the one installed beside Levada, else the one on PATH.

    Raises ImageError if there is none.
    """
    import shutil

    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
    if not found:
        raise ImageError("locking the requirements needs `uv`", f"install it: {_INSTALL}")
    return found


def settings(root: Path) -> list[dict[str, Any]]:
    """Read uv's settings for a project, the nearest first: the project's, the user's, the system's.

    See docs.astral.sh/uv/concepts/configuration-files. A file that cannot be read is left out: uv
    says so.
    """
    if os.environ.get("UV_CONFIG_FILE"):
        return _read(Path(os.environ["UV_CONFIG_FILE"]))
    if os.environ.get("UV_NO_CONFIG", "").lower() in ("1", "true"):
        return []
    found: list[dict[str, Any]] = []
    for folder in (root.absolute(), *root.absolute().parents):
        found = _read(folder / "uv.toml") or _of_pyproject(folder)
        if found:
            break
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    found += _read(Path(home).expanduser() / "uv" / "uv.toml")
    systems = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    for folder in (*map(Path, systems), Path("/etc")):
        found += _read(folder / "uv" / "uv.toml")
    return found


def _of_pyproject(folder: Path) -> list[dict[str, Any]]:
    for document in _read(folder / "pyproject.toml"):
        tool = document.get("tool")
        table = tool.get("uv") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            return [table]
    return []


def _read(path: Path) -> list[dict[str, Any]]:
    import tomllib

    try:
        return [tomllib.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return []
