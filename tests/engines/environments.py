"""Python environments of the engines: made once from a locked file, outside the tree.

An environment lives in `${LEVADA_ENGINES:-~/.cache/levada/engines}/<name>-<key>`, where the key is
a digest of its locked requirements, so that a changed lock makes a new one. It exists under that
name only when it is whole: it is recognised by a file that is written last. Callers that come
while it is being made wait for the file lock beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = "3.11"
REQUIREMENTS = Path(__file__).parent / "requirements"


def root() -> Path:
    """The folder of all engines."""
    given = os.environ.get("LEVADA_ENGINES")
    return Path(given).absolute() if given else Path.home() / ".cache" / "levada" / "engines"


def location(name: str, lock: Path) -> Path:
    """Where the environment of this lock is, or would be."""
    key = hashlib.sha256(lock.read_bytes() + PYTHON.encode()).hexdigest()[:12]
    return root() / f"{name}-{key}"


def is_installed(folder: Path) -> bool:
    """Whether the environment is there, and whole."""
    return _mark(folder).is_file()


def install(name: str, lock: Path) -> Path:
    """Make the environment if it is not there; return its folder."""
    folder = location(name, lock)
    if is_installed(folder):
        return folder
    root().mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not is_installed(folder):
            # A virtual environment cannot be renamed (its scripts hold its path): the mark, not
            # the folder's name, is what says that it is whole.
            shutil.rmtree(folder, ignore_errors=True)
            uv = _uv()
            _run(uv, "venv", "--quiet", "--python", _python(), str(folder))
            # Compiled here, for the engines start many short processes and PYTHONDONTWRITEBYTECODE
            # may be set: without .pyc files each of them would compile Airflow again.
            _run(
                *(uv, "pip", "install", "--quiet", "--compile-bytecode"),
                *("--python", str(folder / "bin" / "python"), "--requirements", str(lock)),
            )
            _mark(folder).write_text(f"{name}\n{lock.name}\n")
    return folder


def lock(requirements: Path) -> Path:
    """Resolve `x.in` anew into `x.txt`."""
    target = requirements.with_suffix(".txt")
    _run(
        *(_uv(), "pip", "compile", "--quiet", "--upgrade", "--python-version", PYTHON),
        *("--custom-compile-command", "python -m tests.engines.airflow lock"),
        *(requirements.name, "--output-file", target.name),
        cwd=requirements.parent,
    )
    return target


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that ends with the process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _mark(folder: Path) -> Path:
    return folder / "levada-complete"


def _python() -> str:
    """This very Python where its version is right; else what uv finds, or downloads."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return str(Path(sys.executable).resolve()) if here == PYTHON else PYTHON


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    if beside.is_file():
        return str(beside)
    if found := shutil.which("uv"):
        return found
    folder = root() / "uv"
    root().mkdir(parents=True, exist_ok=True)
    with locked(root() / "uv.lock"):
        if not is_installed(folder):
            venv.create(folder, clear=True, with_pip=True)
            _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv>=0.5")
            _mark(folder).write_text("uv\n")
    return str(folder / "bin" / "uv")


def _run(*command: str, cwd: Path | None = None) -> None:
    # An environment that the caller is in would be uv's target.
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(command, check=True, cwd=cwd, env=env)
