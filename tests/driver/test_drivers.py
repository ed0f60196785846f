"""Drivers that are killed, doubled and cut off: each attempt runs once, and the result is right."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, Namespace

from .deployment import ClusterRun, Deployment, build_image, manifests
from .local_driver import LocalDriver

pytestmark = pytest.mark.engine
CASES = Path(__file__).parent / "cases"
COUNT = 8
KILLS = 20


@pytest.fixture(scope="module")
def deployment(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    root = tmp_path_factory.mktemp("steps") / "project"
    shutil.copytree(CASES, root)
    image = build_image(root, cluster.registry)
    with cluster.namespace() as space:
        made = manifests(CASES / "faults.py", "chain", image, max_parallel=3)
        yield Deployment.apply(space, made)


def begin(deployment: Deployment, name: str, folder: Path) -> tuple[ClusterRun, LocalDriver]:
    """A run whose own Job is suspended, so that only drivers from here run it."""
    run = deployment.submit(name, suspend=True)
    return run, LocalDriver(run, folder)


def start(run: ClusterRun, drivers: LocalDriver) -> subprocess.Popen[str]:
    return drivers.start({"folder": run.name, "count": COUNT})


def check(run: ClusterRun, space: Namespace) -> None:
    """Once each: what ran, the Jobs, the pods, the records; and what came out."""
    ran = Counter((space.store / f"trace-{run.name}").read_text().splitlines())
    expected = Counter({"listed": 1, "total": 2, "closed": 1})
    expected.update({f"doubled {number}": 1 for number in range(COUNT)})
    assert ran == expected
    attempts = len(run.records())
    failed_first = len([number for number in range(COUNT) if number % 3 == 1])
    assert attempts == sum(expected.values()) + failed_first
    assert len(run.jobs()) == attempts
    assert len(run.pods()) == attempts
    outcome = run.outcome()
    assert outcome["status"] == "succeeded"
    total, closed = (value(space, tree) for tree in outcome["outputs"])
    assert (total, closed) == (sum(2 * n for n in range(COUNT)) + 1, "closed")
    times = [path.name for path in sorted((run.folder / "driver-journal").iterdir())]
    assert times == [f"{number:08d}.json" for number in range(1, len(times) + 1)]


def value(space: Namespace, tree: dict[str, dict[str, str]]) -> object:
    digest = tree["$artifact"]["digest"].removeprefix("sha256:")
    return json.loads((space.store / "blobs" / "sha256" / digest[:2] / digest).read_bytes())


def test_it_is_killed_at_any_moment(deployment: Deployment, tmp_path: Path) -> None:
    run, drivers = begin(deployment, "killed", tmp_path / "driver")
    moments = random.Random(7)
    kills = 0
    while kills < KILLS:
        driver = start(run, drivers)
        try:
            driver.wait(moments.uniform(0.1, 2.5))
            break
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.communicate()
            kills += 1
    out, _ = driver.communicate() if kills < KILLS else start(run, drivers).communicate()
    assert "succeeded" in out, out
    assert kills >= KILLS // 2, "it was over before it could be killed"
    check(run, deployment.space)


def test_two_of_them_agree(deployment: Deployment, tmp_path: Path) -> None:
    run, drivers = begin(deployment, "doubled", tmp_path / "driver")
    both = [start(run, drivers), start(run, drivers)]
    said = [driver.communicate()[0] for driver in both]
    assert [driver.returncode for driver in both] == [0, 0], said
    check(run, deployment.space)


def test_the_api_server_is_away_for_a_while(
    deployment: Deployment, cluster: Cluster, tmp_path: Path
) -> None:
    run, drivers = begin(deployment, "away", tmp_path / "driver")
    driver = start(run, drivers)
    for pause, absence in ((2.0, cluster.away), (1.0, cluster.freeze)):
        time.sleep(pause)
        with absence():
            time.sleep(6)
    out = _ended(driver, 240)
    assert driver.returncode == 0, out
    check(run, deployment.space)


def _ended(driver: subprocess.Popen[str], seconds: float) -> str:
    timer = threading.Timer(seconds, driver.kill)
    timer.start()
    out, _ = driver.communicate()
    timer.cancel()
    return str(out)
