"""Drivers in their own pods: killed, and cut off for a minute. `test_drivers` does it more often.

LEVADA_DRIVER_KILLS says how many runs have their driver killed, each at another moment.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster

from .deployment import ClusterRun, Deployment, manifests

pytestmark = pytest.mark.engine
CASES = Path(__file__).parent / "cases"
KILLS = int(os.environ.get("LEVADA_DRIVER_KILLS", "3"))
#: What the steps of `chain` do, with two items, and the attempt that fails left out.
STEPS = Counter({"listed": 1, "doubled 0": 1, "doubled 1": 1, "total": 1, "closed": 1})


@pytest.fixture
def chain(cluster: Cluster, image: str) -> Iterator[Deployment]:
    """A pipeline that fans out, tries again, and decides."""
    with cluster.namespace() as space:
        yield Deployment.apply(space, manifests(CASES / "faults.py", "chain", image))


def submit(chain: Deployment, name: str) -> ClusterRun:
    return chain.submit(name, {"folder": name, "count": 2})


def check(run: ClusterRun) -> None:
    """It ended as it would have, and no attempt of a step was made twice."""
    assert run.wait(400) == "succeeded", run.log()
    assert run.outcome()["status"] == "succeeded"
    trace = Counter((run.space.store / f"trace-{run.name}").read_text().splitlines())
    assert trace == STEPS
    attempts = [record for record in run.records() if record.startswith("doubled")]
    assert attempts == ["doubled/[0]/1", "doubled/[1]/1", "doubled/[1]/2"]


def running(run: ClusterRun) -> str:
    """The container of its driver, once that runs."""

    def container() -> str:
        pods = run.space.get("pods", f"--selector=job-name={run.name}")["items"]
        for pod in pods:
            for one in pod["status"].get("containerStatuses", ()):
                if "running" in one["state"]:
                    return str(one["containerID"]).removeprefix("containerd://")
        return ""

    run.until(container)
    return container()


def test_killed_drivers_are_followed_while_the_api_server_is_away(chain: Deployment) -> None:
    """Their Jobs wait for ten seconds before they make other pods."""
    moments = random.Random(7)
    runs = []
    for number in range(KILLS):
        runs.append(submit(chain, f"killed-{number}"))
        container = running(runs[-1])
        time.sleep(moments.uniform(0, 4))  # a whole run takes some six seconds
        chain.space.cluster.containerd.ctr("tasks", "kill", "--signal=SIGKILL", container)
    with chain.space.cluster.away():
        time.sleep(60)
    for run in runs:
        check(run)
    assert any(run.job()["status"].get("failed") for run in runs)
