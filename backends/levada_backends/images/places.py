"""Where files are kept (``$XDG_CACHE_HOME/levada``), and which indexes packages come from."""

from __future__ import annotations

import os
from pathlib import Path

_indexes: dict[str, str] = {}


def cache_folder(name: str) -> Path:
    """One of the caches, which may be removed at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "levada" / name


def set_indexes(indexes: dict[str, str]) -> None:
    """Say what the indexes of ``[tool.uv]`` are called: their names with their URLs."""
    _indexes.clear()
    _indexes.update(indexes)


def indexes() -> dict[str, str]:
    """The URLs of the project's indexes by name."""
    return _indexes
