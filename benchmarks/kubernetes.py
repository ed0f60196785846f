"""What a driver costs in a real cluster: `python -m benchmarks.kubernetes [ITEMS]`.

A chain of five steps beside bare Jobs that are made by hand one after the other, the time from a
finished step to the next Job, and the driver's memory over a fan-out.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster import attached, cluster
from tests.cluster.cluster import Cluster, Namespace
from tests.driver.deployment import ClusterRun, Deployment, build_image, manifests
from tests.driver.local_driver import LocalDriver

MODULE = Path(__file__).parent / "pipelines" / "cluster_steps.py"
STEPS = 5


def main(items: int) -> None:
    """Measure all of it and print it."""
    running = attached.find(api_only=False)
    if isinstance(running, Cluster):
        measure(running, items)
        return
    with cluster.start() as own:
        measure(own, items)


def measure(cluster: Cluster, items: int) -> None:
    folder = Path(tempfile.mkdtemp())
    root = folder / "project"
    root.mkdir()
    shutil.copy(MODULE, root)
    image = build_image(root, cluster.registry)
    with cluster.namespace() as space:
        chain = Deployment.apply(space, manifests(MODULE, "chain", image))
        size = chain.made.size / STEPS
        print(f"manifest: {size:,.0f} bytes a step of {STEPS}")
        chain.submit("warm").wait()
        run = chain.submit("chain")
        run.wait()
        gaps = between_steps(run)
        bare = bare_jobs(space, chain)
        took = run.outcome()["seconds"]
        print(f"chain of {STEPS}: {took:.1f} s; bare Jobs: {bare:.1f} s; {took / bare:.2f}x")
        print(f"finished step to next Job: {statistics.median(gaps) * 1000:.0f} ms (median)")
        report_delays(chain, folder)
        fan_out(space, manifests(MODULE, "fan_out", image, max_parallel=20), items, folder)


def between_steps(run: ClusterRun) -> list[float]:
    """Seconds from the end of each step to when the request of the next one is written."""
    ends, starts = [], []
    for number in range(1, STEPS + 1):
        place = run.folder / ("work" if number == 1 else f"work_{number}") / "1"
        record = json.loads((place / "record.json").read_text())
        ends.append(datetime.fromisoformat(record["finished"]).timestamp())
        starts.append((place / "request.json").stat().st_mtime)
    return [start - end for end, start in zip(ends, starts[1:], strict=False)]


def bare_jobs(space: Namespace, deployment: Deployment) -> float:
    """Seconds for as many Jobs of such steps, each made when the one before is complete."""
    (template,) = deployment.made.step_jobs()
    started = time.monotonic()
    for number in range(STEPS):
        job = json.loads(json.dumps(template))
        job["metadata"]["name"] = f"bare-{number}"
        (container,) = job["spec"]["template"]["spec"]["containers"]
        container["command"] = ["python", "-c", "print(1)"]
        space.kubectl("create", "--filename=-", stdin=json.dumps(job))
        space.wait(f"job/bare-{number}", "condition=complete", 120)
    return time.monotonic() - started


def report_delays(chain: Deployment, folder: Path) -> None:
    """From when the driver is told that a step has ended to when it sends the next Job."""
    run = chain.submit("counted", suspend=True)
    counted, _ = drive(run, folder / "counted", {})
    delays = [seconds * 1000 for seconds in counted["delays"]]
    print(f"of which the driver: {statistics.median(delays):.0f} ms (median of {len(delays)})")


def drive(run: ClusterRun, folder: Path, parameters: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Run it by a driver of this machine; what that has counted, and its peak in bytes."""
    counts = folder / "counts.json"
    driver = LocalDriver(run, folder).start(
        parameters,
        "benchmarks.counted_driver",
        COUNTS=str(counts),
        PYTHONPATH=str(Path(__file__).parent.parent),
    )
    peak: list[int] = [0]

    def watch() -> None:
        while driver.poll() is None:
            peak[0] = max(peak[0], resident(driver.pid))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    driver.communicate()
    watcher.join()
    return json.loads(counts.read_text()), peak[0]


def fan_out(space: Namespace, made: Any, items: int, folder: Path) -> None:
    run = Deployment.apply(space, made).submit("fan-out", suspend=True)
    started = time.monotonic()
    found, peak = drive(run, folder / "driver", {"items": items})
    seconds = time.monotonic() - started
    counted, entries = found["counts"], list((run.folder / "driver-journal").iterdir())
    print(
        f"{items} items: {seconds:.0f} s, driver's peak {peak / 2**20:.0f} MiB,"
        f" {len(entries)} entries of the journal, {len(run.jobs())} Jobs,"
        f" {sum(counted.values())} requests of the driver: {counted}"
    )


def resident(pid: int) -> int:
    """Bytes that a process has had at its peak."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line for line in lines if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * 1024 if found else 0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
