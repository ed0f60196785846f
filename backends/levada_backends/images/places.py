"""Where files are kept (``$XDG_CACHE_HOME/levada``), and which indexes packages come from."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_LEFT_OVER = 86_400.0  # seconds after which an unfinished file is nobody's any more
_indexes: dict[str, str] = {}


def cache_folder(name: str) -> Path:
    """One of the caches, which may be removed at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "levada" / name


def unfinished(cache: Path) -> Path:
    """Where files of a cache are written until they are whole; made, and rid of old ones."""
    folder = cache / "unfinished"
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    oldest = time.time() - _LEFT_OVER
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
    return folder


def set_indexes(indexes: dict[str, str]) -> None:
    """Say what the indexes of ``[tool.uv]`` are called: their names with their URLs."""
    _indexes.clear()
    _indexes.update(indexes)


def indexes() -> dict[str, str]:
    """The URLs of the project's indexes by name."""
    return _indexes
