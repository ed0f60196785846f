"""Where a cluster lives: namespaces of its own, an address that this machine reaches, one folder.

Its mounts, its network devices and its firewall are its own and end with its processes, and any
number of clusters stand beside each other. The one link out is a pair of virtual devices: the
machine reaches the node and every pod, and they reach the machine; nothing beyond is routed.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines.keeper import Keeper

from . import packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The address of the service `kubernetes` in every cluster: the node's own, so that pods reach
#: the API server without kube-proxy.
SERVICE = "10.96.0.1"
SERVICES = "10.96.0.0/16"

_SECONDS = 240
# /run is where runc, shims and network namespaces leave files that no setting moves.
_HOLD = f"""
set -e
mount --make-rshared /
mount -t tmpfs tmpfs /run
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
ip address add {SERVICE}/32 dev lo
touch "$1"
exec sleep infinity
"""


@dataclass(frozen=True)
class Place:
    """`number` is its own on this machine: of its devices, addresses and control groups."""

    folder: Path
    number: int
    keeper: Keeper
    pid: int

    @property
    def host(self) -> str:
        """This machine, as the node and the pods see it."""
        return f"10.250.{self.number}.1"

    @property
    def node(self) -> str:
        """The address of the node."""
        return f"10.250.{self.number}.2"

    @property
    def pods(self) -> str:
        """The addresses of the pods."""
        return f"10.251.{self.number}.0/24"

    def start(self, name: str, *command: str) -> int:
        """Start a program in these namespaces; nothing of it is worth a tidy end."""
        return self.keeper.start(
            name,
            [*self._inside(), *command],
            env={"PATH": packages.path(), "HOME": str(self.folder)},
            log=self.folder / "logs" / f"{name}.log",
            stop_signal=signal.SIGKILL,
        )

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a command in these namespaces to its end; give its output."""
        done = subprocess.run(
            [*self._inside(), *command], input=stdin, check=True, capture_output=True, text=True
        )
        return done.stdout

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--target={self.pid}", "--mount", "--net", "--")

    def wait(self, what: str, is_ready: Callable[[], bool]) -> None:
        """Wait until it says yes; raises what the keeper does when a program has ended."""

        def look() -> bool:
            self.keeper.check()
            return is_ready()

        wait_until(what, look)


@contextlib.contextmanager
def make() -> Iterator[Place]:
    """Make the namespaces; all that was made in them is gone when the context is."""
    folder = Path(tempfile.mkdtemp(prefix="levada-cluster-"))
    with Keeper() as keeper:
        keeper.discard(folder)
        folder.chmod(0o755)  # a pod's user must be able to reach a volume in it
        (folder / "logs").mkdir()
        held = folder / "held"
        pid = keeper.start(
            "namespaces",
            [
                *("unshare", "--mount", "--net", "--propagation", "private", "--"),
                *("/bin/sh", "-c", _HOLD, "sh", str(held)),
            ],
            env={"PATH": packages.path()},
            log=folder / "logs" / "namespaces.log",
            stop_signal=signal.SIGKILL,
        )
        while not held.exists():
            keeper.check()
            time.sleep(0.01)
        place = Place(folder, _link(pid), keeper, pid)
        _address(place)
        yield place


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    """Wait until it says yes, for so long as a busy machine may need."""
    deadline = time.monotonic() + _SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {_SECONDS} s it is still not so that {what}")
        time.sleep(0.1)


def _link(pid: int) -> int:
    """Make the pair of devices; the first number whose name is free is this cluster's."""
    for number in range(256):
        made = _ip(
            *("link", "add", f"levada{number}", "type", "veth"),
            *("peer", "name", "eth0", "netns", str(pid)),
            check=False,
        )
        if made.returncode == 0:
            return number
        if "File exists" not in made.stderr:
            raise RuntimeError(f"no network device can be made here: {made.stderr.strip()}")
    raise RuntimeError("256 clusters run here already")


def _address(place: Place) -> None:
    device = f"levada{place.number}"
    _ip("address", "add", f"{place.host}/30", "dev", device)
    _ip("link", "set", device, "up")
    _ip("address", "add", f"{place.node}/30", "dev", "eth0", pid=place.pid)
    _ip("link", "set", "eth0", "up", pid=place.pid)
    _ip("route", "add", place.pods, "via", place.node)


def _ip(
    *arguments: str, pid: int | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    inside = [] if pid is None else ["nsenter", f"--target={pid}", "--net", "--"]
    return subprocess.run(
        [*inside, packages.program("ip"), *arguments],
        check=check,
        capture_output=True,
        text=True,
    )
