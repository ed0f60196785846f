"""Small wheels and source archives made here, in a folder that uv takes as an index."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

SETTINGS = """
[tool.uv]
no-index = true
find-links = ["{folder}"]
"""


def wheel(
    folder: Path,
    name: str,
    version: str,
    files: dict[str, str],
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    extras: Sequence[str] = (),
) -> Path:
    """Write a wheel with these files, as the specification of binary distributions says."""
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {text}" for text in requires]
    info = f"{stem}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in content.items())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**content, f"{info}/RECORD": record}.items():
            archive.writestr(member, text)
    return path


def sdist(
    folder: Path, name: str, version: str, files: dict[str, str], backend: str = "none"
) -> Path:
    """Write a source archive that needs nothing to say what it requires (metadata 2.2)."""
    stem = f"{name}-{version}"
    info = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    requires = [] if backend == "none" else [backend]
    build = f'[build-system]\nrequires = {requires}\nbuild-backend = "{backend}"\n'
    named = f'{build}[project]\nname = "{name}"\nversion = "{version}"\n'
    path = folder / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in {"PKG-INFO": info, "pyproject.toml": named, **files}.items():
            entry = tarfile.TarInfo(f"{stem}/{member}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
