"""Where files are kept (``$XDG_CACHE_HOME/levada``), and which indexes packages come from."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from levada_compiler.slotted import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEFT_OVER = 86_400.0  # seconds after which an unfinished file is nobody's any more


@dataclass(frozen=True, slots=True)
class Index:
    """A package index as the environment, uv's settings or a requirements file have it.

    It is the default one, or one more, or (``is_explicit``) only for packages that name it. The
    ``url`` may have credentials, and is written nowhere; ``address`` has none.
    """

    name: str
    url: str
    is_default: bool = False
    is_explicit: bool = False

    def __repr__(self) -> str:
        """Keep credentials out of tracebacks."""
        return f"Index({self.name!r}, {self.address!r})"

    @property
    def address(self) -> str:
        """The URL without a user and a password."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def login(self) -> tuple[str, str] | None:
        """The user and the password of the environment, else of the URL, as uv takes them."""
        word = re.sub(r"[^A-Z0-9]", "_", self.name.upper())
        user = os.environ.get(f"UV_INDEX_{word}_USERNAME")
        password = os.environ.get(f"UV_INDEX_{word}_PASSWORD")
        if self.name and (user or password):
            return user or "", password or ""
        parts = urlsplit(self.url)
        if parts.username is None:
            return None
        return unquote(parts.username), unquote(parts.password or "")


_indexes: list[Index] = []
_roots: list[Path] = []
_keyring: list[str] = []


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


def set_project(root: Path, indexes: Iterable[Index], keyring: str = "") -> None:
    """Say where the project is, whose settings uv takes, and what these say of indexes."""
    _roots[:] = [root]
    _indexes[:] = indexes
    _keyring[:] = [keyring] if keyring else []


def keyring_provider() -> str:
    """Uv's setting of this name, by which it finds passwords."""
    return _keyring[0] if _keyring else ""


def project() -> Path:
    """The folder of the project; the current one if there is none."""
    return _roots[0] if _roots else Path.cwd()


def indexes() -> list[Index]:
    """The project's indexes."""
    return _indexes
