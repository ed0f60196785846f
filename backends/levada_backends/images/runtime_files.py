"""The Levada runtime as plain files, from the installed package."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import levada

_ENDINGS = (".py", ".json")


@cache
def runtime_files() -> dict[str, bytes]:
    """The files of the package ``levada`` that a step may need, by POSIX path, sorted."""
    package = Path(levada.__file__).parent
    return {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.suffix in _ENDINGS and path.is_file()
    }


@cache
def runtime_digest() -> str:
    """``sha256:…`` over their names and contents."""
    whole = hashlib.sha256()
    for name, content in runtime_files().items():
        whole.update(f"{name}\0{len(content)}\0".encode())
        whole.update(content)
    return f"sha256:{whole.hexdigest()}"
