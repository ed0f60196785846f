"""Where files are kept (``$XDG_CACHE_HOME/levada``), and which indexes packages come from."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from levada_compiler.slotted import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEFT_OVER = 86_400.0  # seconds after which an unfinished file is nobody's any more


@dataclass(frozen=True, slots=True)
class Index:
    """A package index as a project has it, without credentials.

    It is the default one, or one more, or (``is_explicit``) only for packages that name it.
    """

    name: str
    url: str
    is_default: bool = False
    is_explicit: bool = False

    def login(self) -> tuple[str, str] | None:
        """The user and the password that the environment has for it, as uv takes them."""
        word = self.name.upper().replace("-", "_").replace(".", "_")
        user = os.environ.get(f"UV_INDEX_{word}_USERNAME")
        password = os.environ.get(f"UV_INDEX_{word}_PASSWORD")
        return (user or "", password or "") if self.name and (user or password) else None


_indexes: list[Index] = []
_roots: list[Path] = []


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


def set_project(root: Path, indexes: Iterable[Index]) -> None:
    """Say where the project is, whose settings uv takes, and which indexes these name."""
    _roots[:] = [root]
    _indexes[:] = indexes


def project() -> Path:
    """The folder of the project; the current one if there is none."""
    return _roots[0] if _roots else Path.cwd()


def indexes() -> list[Index]:
    """The project's indexes."""
    return _indexes
