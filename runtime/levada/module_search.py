"""Where a module's file is in a list of folders, told from the names of files alone."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def find(folders: Iterable[str], dotted: str) -> str | None:
    """Find the module ``dotted`` in ``folders``, as Python's import system would.

    Returns the path of its file (that of ``__init__.py`` for a package), the folder of a
    namespace package, or None.
    """
    found = list(folders)
    *packages, last = dotted.split(".")
    for name in packages:
        found = package_folders(found, name)
    return _module(found, last)


def package_folders(folders: Iterable[str], name: str) -> list[str]:
    """Return the folders of the package ``name``: one, or all portions of a namespace package."""
    portions = []
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(os.path.join(path, "__init__.py")):
            return [path]
        if os.path.isfile(path + ".py"):
            return []
        if os.path.isdir(path):
            portions.append(path)
    return portions


def holder(folders: Iterable[str], path: str) -> str | None:
    """Return the innermost of ``folders`` that holds ``path``, None if no one does."""
    return max((folder for folder in folders if holds(folder, path)), key=len, default=None)


def holds(folder: str, path: str) -> bool:
    """Whether ``path`` is below ``folder``."""
    return path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)


def _module(folders: list[str], name: str) -> str | None:
    portion = None
    for folder in folders:
        path = os.path.join(folder, name)
        for candidate in (os.path.join(path, "__init__.py"), path + ".py"):
            if name and os.path.isfile(candidate):
                return candidate
        if name and portion is None and os.path.isdir(path):
            portion = path
    return portion
