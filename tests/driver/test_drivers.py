"""Drivers that are killed, doubled and cut off: each attempt runs once, and the result is right."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from levada.driver import jobs

from tests.cluster.cluster import Cluster, Namespace

from .cases import faults
from .deployment import ClusterRun, Deployment, manifests
from .local_driver import LocalDriver

pytestmark = pytest.mark.engine
CASES = Path(__file__).parent / "cases"
COUNT = 4
#: Of the numbers below, those whose first attempt fails.
FAILED_FIRST = 1
KILLS = 20


@pytest.fixture(scope="module")
def deployment(cluster: Cluster, image: str) -> Iterator[Deployment]:
    with cluster.namespace() as space:
        made = manifests(CASES / "faults.py", "mixed", image, max_parallel=5, indexed_from=4)
        yield Deployment.apply(space, made)


def begin(deployment: Deployment, name: str, folder: Path) -> tuple[ClusterRun, LocalDriver]:
    """A run whose own Job is suspended, so that only drivers from here run it."""
    run = deployment.submit(name, suspend=True)
    return run, LocalDriver(run, folder)


def start(run: ClusterRun, drivers: LocalDriver) -> subprocess.Popen[str]:
    return drivers.start({"folder": run.name, "count": COUNT})


def check(run: ClusterRun, space: Namespace, folder: Path) -> None:
    """Once each: what ran, the Jobs, the pods, the records; and what came out: as in plain Python.

    Two of the fan-outs, and what is in their loops, run in Indexed Jobs.
    """
    expected, returned = plainly(folder)
    ran = Counter((space.store / f"trace-{run.name}").read_text().splitlines())
    assert ran == expected
    attempts = run.records()
    assert len(attempts) == sum(expected.values()) + FAILED_FIRST
    keys = Counter(key for job in run.jobs() for key in jobs.keys_of(job))
    assert Counter(map(_key, attempts.values())) == keys
    assert set(keys.values()) == {1}
    assert any(jobs.ITEMS in job["metadata"]["annotations"] for job in run.jobs())
    assert len(run.pods()) == len(attempts)
    outcome = run.outcome()
    assert outcome["status"] == "succeeded"
    assert tuple(value(space, tree) for tree in outcome["outputs"]) == returned
    times = [path.name for path in sorted((run.folder / "driver-journal").iterdir())]
    assert times == [f"{number:08d}.json" for number in range(1, len(times) + 1)]


def plainly(folder: Path) -> tuple[Counter[str], object]:
    """What plain Python runs, and what it returns; no first attempt fails there."""
    faults.TRACE = str(folder / "trace")
    for number in range(COUNT):
        (folder / f"trace-plain-failed-{number}").touch()
    returned = faults.mixed("plain", COUNT)
    return Counter((folder / "trace-plain").read_text().splitlines()), returned


def _key(record: dict[str, Any]) -> jobs.Key:
    return record["node"], tuple(record["map_index"] or ()), record["attempt"]


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
    check(run, deployment.space, tmp_path)


def test_two_of_them_agree(deployment: Deployment, tmp_path: Path) -> None:
    run, drivers = begin(deployment, "doubled", tmp_path / "driver")
    both = [start(run, drivers), start(run, drivers)]
    said = [driver.communicate()[0] for driver in both]
    assert [driver.returncode for driver in both] == [0, 0], said
    check(run, deployment.space, tmp_path)


@pytest.mark.parametrize("document", ["run.json", "request.json"])
def test_what_the_store_says_is_changed_between_two_drivers(
    deployment: Deployment, tmp_path: Path, document: str
) -> None:
    """Whoever can write to the store can make the run fail, and nothing else."""
    run, drivers = begin(deployment, f"changed-{document[:3]}", tmp_path / "driver")
    driver = start(run, drivers)
    changed = wait_for(run.folder, document)
    driver.kill()
    driver.communicate()
    content = json.loads(changed.read_text())
    changed.chmod(0o644)
    changed.write_text(json.dumps({**content, "git": {"commit": "x"}}))
    again = start(run, drivers)
    out = _ended(again, 60)
    assert again.returncode != 0
    assert "somebody changed it" in out
    assert "Traceback" not in out


def wait_for(folder: Path, document: str) -> Path:
    """Wait until a run has a document of this name, and until it has a Job's request besides."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if list(folder.glob("**/request.json")):
            return next(iter(sorted(folder.glob(f"**/{document}"))))
        time.sleep(0.05)
    raise TimeoutError(f"{folder} has no {document}")


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
    check(run, deployment.space, tmp_path)


def _ended(driver: subprocess.Popen[str], seconds: float) -> str:
    timer = threading.Timer(seconds, driver.kill)
    timer.start()
    out, _ = driver.communicate()
    timer.cancel()
    return str(out)
