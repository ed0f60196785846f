"""The data files of a step: what its setting ``files`` matches in the project."""

from __future__ import annotations

import os


def find(root: str, pattern: str) -> list[str]:
    """Return the files that a glob or a folder matches: POSIX paths relative to the root, sorted.

    Of a folder all that is below it counts, but for compiled Python.
    """
    import glob

    found = glob.glob(os.path.join(glob.escape(root), pattern), recursive=True)
    files = {os.path.relpath(file, root) for path in found for file in _files_in(path)}
    return sorted(file.replace(os.sep, "/") for file in files)


def _files_in(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path] if os.path.isfile(path) else []
    return [
        os.path.join(at, name)
        for at, _, names in os.walk(path)
        if os.path.basename(at) != "__pycache__"
        for name in names
    ]
