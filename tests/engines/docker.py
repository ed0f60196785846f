"""A Docker engine and a registry of one's own, from Debian's packages, on this machine only.

    python -m tests.engines.docker install

The engine needs root. It runs in a mount namespace of its own, with its data in a folder that is
thrown away, without a bridge and without touching the machine's firewall: a container has no
network or the host's. The registry listens on the loopback, which engines trust without TLS.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from .keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = ("docker.io", "iptables", "docker-registry")
INSTALL = "python -m tests.engines.docker install"
_DOCKER = "/usr/bin/docker"  # another may stand before it on the PATH, for another engine
_DOCKERD = "/usr/sbin/dockerd"
_REGISTRY = "/usr/bin/docker-registry"
_SECONDS = 60

#: Who may use a registry that wants a login, and what the server has of it (bcrypt).
USER, PASSWORD = "levada", "open sesame"
HTPASSWD = "levada:$2y$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n"


def is_installed() -> bool:
    """Whether the programs are there and may be run."""
    return os.geteuid() == 0 and all(map(os.path.exists, (_DOCKER, _DOCKERD, _REGISTRY)))


def install() -> None:
    """Install the packages if they are missing; no service is started."""
    if is_installed():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print("the Docker engine's tests need root and apt-get; they will be skipped")
        return
    # RUNLEVEL=1 keeps invoke-rc.d from starting what is installed.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "--quiet"], check=True, env=env)
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, env=env)


@dataclass(frozen=True)
class Docker:
    """A running engine (``host`` is for DOCKER_HOST) and a registry (a host and port)."""

    host: str
    registry: str
    folder: Path
    keeper: Keeper

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``docker`` with these arguments, its output kept."""
        return subprocess.run(
            [_DOCKER, "--host", self.host, *arguments], check=check, capture_output=True, text=True
        )

    def start_registry(self, *, wants_login: bool = False) -> str:
        """Start one more registry; give its host and port."""
        return _start_registry(self.keeper, Path(tempfile.mkdtemp(dir=self.folder)), wants_login)


@contextlib.contextmanager
def start() -> Iterator[Docker]:
    """Start an engine and a registry; they are gone when the context is, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix="levada-docker-"))
    with Keeper() as keeper:
        keeper.discard(folder)
        (folder / "registry").mkdir()
        registry = _start_registry(keeper, folder / "registry", wants_login=False)
        docker = Docker(f"unix://{folder}/docker.sock", registry, folder, keeper)
        _start_engine(keeper, folder)
        _wait(keeper, lambda: docker.run("version", check=False).returncode == 0)
        yield docker


def _start_engine(keeper: Keeper, folder: Path) -> None:
    command = [
        *("unshare", "--mount", "--propagation", "private", "--"),
        *(_DOCKERD, "--host", f"unix://{folder}/docker.sock"),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "docker.pid")),
        *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
    ]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
    keeper.start("dockerd", command, env=env, log=folder / "dockerd.log")


def _start_registry(keeper: Keeper, folder: Path, wants_login: bool) -> str:
    address = f"127.0.0.1:{_free_port()}"
    lines = [
        "version: 0.1",
        "log: {level: warn}",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '{address}'}}",
    ]
    if wants_login:
        (folder / "htpasswd").write_text(HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: levada, path: {folder}/htpasswd}}}}")
    (folder / "config.yml").write_text("\n".join(lines))
    command = [_REGISTRY, "serve", str(folder / "config.yml")]
    keeper.start(f"registry {address}", command, env={}, log=folder / "registry.log")
    _wait(keeper, lambda: _answers(address))
    return address


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), urlopen(f"http://{address}/") as answer:
        return bool(answer.status == 200)
    return False


def _wait(keeper: Keeper, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not is_ready():
        keeper.check()
        if time.monotonic() > deadline:
            raise TimeoutError("an engine does not answer")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit(f"usage: {INSTALL}")
    install()
