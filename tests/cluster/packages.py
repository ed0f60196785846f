"""What the cluster takes from Debian: the container runtime, the network plugins, a few tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "docker-registry": "docker-registry",
    "busybox": "busybox-static",
}
_PLUGINS = ("bridge", "host-local", "loopback")
_PLUGIN_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


def path() -> str:
    """The PATH of every program of the cluster."""
    return _PATH


def program(name: str) -> str:
    """Where a program is that `missing` does not name."""
    found = shutil.which(name, path=_PATH)
    assert found is not None, f"{name} is not installed"
    return found


def plugins() -> Path | None:
    """The folder of the network plugins, if it is there."""
    whole = (one for one in _PLUGIN_FOLDERS if all((one / name).is_file() for name in _PLUGINS))
    return next(whole, None)


def missing(*, api_only: bool) -> list[str]:
    """The packages to install. Those of a container runtime are left alone where one is there."""
    wanted = ("ip", "nsenter", "openssl") if api_only else tuple(_PACKAGES)
    found = {_PACKAGES[name] for name in wanted if shutil.which(name, path=_PATH) is None}
    if not api_only and plugins() is None:
        found.add("containernetworking-plugins")
    return sorted(found)


def install(*, api_only: bool) -> None:
    """Install what is missing; no service is started."""
    if not (packages := missing(api_only=api_only)):
        return
    # RUNLEVEL=1 keeps invoke-rc.d from starting what is installed.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "--quiet"], check=True, env=env)
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    subprocess.run(command, check=True, env=env)
