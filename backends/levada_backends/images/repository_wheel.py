"""Wheels of packages that are required from a git repository.

uv locks such a package to a commit, of which no index has a file. So its wheel is made here, by uv
and the package's own build backend, and packed again so that the same commit gives the same bytes
on any machine: members sorted, without times, not compressed. Where the lock is used elsewhere the
wheel is made there, and must have the digest that was locked. Only packages of plain Python can be
made so: what is compiled differs from machine to machine.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada.distributions import normalised

from . import uv
from .image import ImageError, Wheel
from .logins import without_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME = "git+"
#: What an installer leaves in ``*.dist-info`` that is not of the wheel.
_OF_INSTALLER = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json")
_COMPILED = (".so", ".pyd", ".dylib")
_WHEEL = "Wheel-Version: 1.0\nGenerator: levada\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
#: What build backends take for the time of files: 1980-01-01, the first that a zip file can say.
_EPOCH = "315532800"


def locked(package: Mapping[str, Any], root: Path) -> tuple[Wheel, bytes]:
    """Make the wheel of a package of ``pylock.toml`` that has a ``vcs`` table.

    Returns it as it is locked, and its content. Raises ImageError if it cannot be made.
    """
    vcs = package["vcs"]
    name = normalised(package["name"])
    url = f"{SCHEME}{vcs['url'].removeprefix(SCHEME)}@{vcs['commit-id']}"
    if vcs.get("subdirectory"):
        url += f"#subdirectory={vcs['subdirectory']}"
    filename, data = make(name, url, root)
    url = without_credentials(url)
    version = filename.split("-")[1]
    return Wheel(name, version, filename, url, hashlib.sha256(data).hexdigest(), len(data)), data


def make(name: str, url: str, root: Path) -> tuple[str, bytes]:
    """Make the wheel of a package at a URL that names a commit: its file name and its content.

    The settings of uv are those of the folder ``root``. Raises ImageError if it cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="levada-repository-") as folder:
        command = [uv.find(), "pip", "install", "--quiet", "--color", "never", "--no-deps"]
        command += ["--python", sys.executable, "--target", folder, f"{name} @ {url}"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode:
            raise ImageError(
                without_credentials(f"`{name}` cannot be built from {url}\n{done.stderr.strip()}"),
                "check the repository, and what its build requires",
            )
        return _packed(name, Path(folder))


def _packed(name: str, folder: Path) -> tuple[str, bytes]:
    info = next(folder.glob("*.dist-info"))
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder, info)}
    compiled = next((each for each in files if each.endswith(_COMPILED)), None)
    if compiled is not None:
        raise ImageError(
            f"`{name}` has compiled code (`{compiled}`), which differs from machine to machine",
            "require a wheel of it: put one into an index, or require it as `name @ file:///….whl`",
        )
    contents = {each: path.read_bytes() for each, path in files.items()}
    contents[f"{info.name}/WHEEL"] = _WHEEL.encode()
    record = "".join(f"{each},{_digest(data)},{len(data)}\n" for each, data in contents.items())
    contents[f"{info.name}/RECORD"] = f"{record}{info.name}/RECORD,,\n".encode()
    return f"{info.name.removesuffix('.dist-info')}-py3-none-any.whl", _zipped(contents)


def _files(folder: Path, info: Path) -> list[Path]:
    """The files of the wheel, but for commands: these name the interpreter that is here."""
    left_out = {info / name for name in _OF_INSTALLER}
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        path
        for path in found
        if path not in left_out
        and path.relative_to(folder).parts[0] not in ("bin", ".lock")
        and path.parent.name != "__pycache__"
    ]


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(contents.items()):
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()
