"""A cluster goes with the test process, pods and all, however that ends."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.required import require_engine

from . import cluster as engine
from . import packages
from .place import wait_until

pytestmark = pytest.mark.engine

TESTS = """
import json, time
from tests.cluster import cluster
from tests.cluster.place import wait_until
from tests.cluster.pods import job

with cluster.start() as kubernetes, kubernetes.namespace() as space:
    manifest = job("one", "levada.local/pause:1", "")
    del manifest["spec"]["template"]["spec"]["containers"][0]["command"]
    space.apply(manifest)
    wait_until("a pod runs", lambda: space.get("job", "one")["status"].get("ready") == 1)
    print(json.dumps([str(kubernetes.folder), kubernetes.host]), flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _needs_a_cluster() -> None:
    require_engine("Kubernetes", is_installed=engine.is_installed(), install=engine.INSTALL)


def traces(folder: str, number: str) -> list[str]:
    """What is still to be seen of a cluster on this machine."""
    devices = subprocess.run(
        [packages.program("ip"), "-brief", "link"], check=True, capture_output=True, text=True
    ).stdout
    found = [line for line in commands() if folder in line]
    found += [line for line in devices.splitlines() if line.startswith(f"levada{number}@")]
    found += [str(one) for one in Path("/sys/fs/cgroup").glob(f"*/levada-{number}")]
    found += [str(one) for one in Path("/sys/fs/cgroup").glob(f"levada-{number}")]
    found += [folder] if Path(folder).exists() else []
    return found + [
        line for line in Path("/proc/mounts").read_text().splitlines() if folder in line
    ]


def commands() -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            yield entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_nothing_stays(end: signal.Signals) -> None:
    tests = subprocess.Popen(
        [sys.executable, "-c", TESTS],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert tests.stdout is not None
        folder, host = json.loads(tests.stdout.readline())
        number = host.split(".")[2]
        assert any("kubelet" in line for line in traces(folder, number))
        tests.send_signal(end)
        tests.wait()
    finally:
        tests.kill()
        tests.communicate()
    wait_until("nothing is left", lambda: traces(folder, number) == [])
