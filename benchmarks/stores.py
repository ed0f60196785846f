"""What a store costs: `python -m benchmarks.stores [NAME ...]`.

Each part is compared with its floor, in turns in one run, and says the ratio of the medians:

    arrays      256 MiB array put into and got from a folder: write and sha256, sha256 and np.load
    files       1 GiB file to S3 (VersityGW on the loopback) and back: obstore alone
    run         a run of 50 steps with its store on S3: the same with its store in a folder
    requests    requests to S3 for 100 values of 1 KiB through a step each

Whatever takes memory is a process of its own, whose peak is that of `ru_maxrss`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines.fault_proxy import FaultProxy, fault_proxy
from tests.engines.object_stores.servers import Bucket, versitygw

if TYPE_CHECKING:
    import numpy as np
    from levada.store import Store

ROUNDS = 5
ARRAY, FILE = 256 << 20, 1 << 30  # bytes
STEPS, VALUES = 50, 100


def main(names: list[str]) -> None:
    """Measure the parts that are named, or all."""
    print(f"load {os.getloadavg()[0]:.1f} before")
    for name, part in PARTS.items():
        if not names or name in names:
            with tempfile.TemporaryDirectory(prefix="levada-bench-") as folder:
                part(Path(folder))
    print(f"load {os.getloadavg()[0]:.1f} after")


# ---------------------------------------------------------------- processes


class Times:
    """The wall and CPU seconds and the peaks in MiB of the runs of one subject."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.peak: list[float] = []

    def __str__(self) -> str:
        wall, cpu, peak = (statistics.median(each) for each in (self.wall, self.cpu, self.peak))
        return f"{wall:.2f} s, CPU {cpu:.2f} s, least {min(self.wall):.2f} s, peak {peak:.0f} MiB"


def compare(subject: str, floor: str, folder: Path, rounds: int = ROUNDS) -> None:
    """Run two of WORKS in turns, each in a process, and print what they took."""
    found = {subject: Times(), floor: Times()}
    for _ in range(rounds):
        for name, times in found.items():
            out = subprocess.run(
                [sys.executable, "-m", __spec__.name, "--work", name, str(folder)],
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            wall, cpu, peak = json.loads(out)
            times.wall.append(wall)
            times.cpu.append(cpu)
            times.peak.append(peak)
    for name, times in found.items():
        print(f"  {name:16} {times}")
    ratio(found[subject].wall, found[floor].wall, "wall")
    ratio(found[subject].cpu, found[floor].cpu, "CPU")


def ratio(subject: list[float], floor: list[float], what: str) -> None:
    """Print by how much one is longer: of the medians and of the least."""
    medians = statistics.median(subject) / statistics.median(floor)
    print(f"  ratio, {what}: {medians:.2f}x of the medians, {min(subject) / min(floor):.2f}x least")


def work(name: str, folder: Path) -> None:
    """Do a part of the work in this process; print its wall and CPU seconds and its peak in MiB."""
    prepared = WORKS[name](folder)
    wall, cpu = time.perf_counter(), time.process_time()
    prepared()
    took = [time.perf_counter() - wall, time.process_time() - cpu]
    print(json.dumps([*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


# ---------------------------------------------------------------- arrays in a folder


def arrays(folder: Path) -> None:
    print("256 MiB array into a folder, and from it")
    compare("put", "write+sha256", folder)
    compare("get", "sha256+load", folder)


def _array() -> np.ndarray:
    import numpy as np

    return np.random.default_rng(1).integers(0, 1 << 62, ARRAY // 8)


def _put(folder: Path) -> Callable[[], object]:
    from levada import values
    from levada.store import open_store

    array, store = _array(), open_store(str(folder / "store"))

    def put() -> None:
        artifact = values.save(array, store)
        (folder / "artifact.json").write_text(json.dumps(artifact.as_json()))

    return put


def _write_and_hash(folder: Path) -> Callable[[], object]:
    import hashlib

    import numpy as np

    array = _array()

    def write() -> None:
        np.save(folder / "floor.npy", array)
        hashlib.sha256(array.data).hexdigest()

    return write


def _get(folder: Path) -> Callable[[], object]:
    from levada import values
    from levada.artifact import Artifact
    from levada.store import open_store

    artifact = Artifact.from_json(json.loads((folder / "artifact.json").read_text()))
    store = open_store(str(folder / "store"))
    import numpy.lib.format  # noqa: F401  its import is no part of it

    return lambda: values.load(artifact, store)


def _hash_and_load(folder: Path) -> Callable[[], object]:
    import hashlib

    import numpy as np

    def load() -> None:
        with (folder / "floor.npy").open("rb") as file:
            hashlib.file_digest(file, "sha256")
        np.load(folder / "floor.npy")

    return load


# ---------------------------------------------------------------- a file in a bucket


def files(folder: Path) -> None:
    print("1 GiB file to S3 on the loopback, and back")
    with _server(folder):
        block = os.urandom(1 << 20)
        with (folder / "file").open("wb") as file:
            for number in range(FILE >> 20):
                file.write(number.to_bytes(4) + block[4:])
        compare("upload", "obstore put", folder, 2)
        compare("download", "obstore get", folder, 2)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[Bucket]:
    """Start VersityGW; this process and its children reach it, and keep blobs in the folder."""
    with versitygw(folder / "server") as bucket:
        os.environ.update(bucket.environment)
        os.environ["LEVADA_BLOB_CACHE"] = str(folder / "blob-cache")
        yield bucket


def _bucket_store(folder: Path, kept: str) -> Store:
    """Open the store, with nothing kept on this machine."""
    from levada.store import open_store

    os.environ["LEVADA_BLOB_CACHE"] = str(folder / f"{kept}-{os.getpid()}")
    return open_store("s3://levada/files")


def _upload(folder: Path) -> Callable[[], object]:
    store = _bucket_store(folder, "up")

    def upload() -> None:
        digest, _ = store.put_blob_file(folder / "file")
        (folder / "digest").write_text(digest)

    return upload


def _obstore_put(folder: Path) -> Callable[[], object]:
    import obstore
    from obstore.store import S3Store

    made = S3Store("levada", client_options={"allow_http": True})

    def put() -> None:
        with (folder / "file").open("rb") as file:
            obstore.put(made, "alone", file, chunk_size=16 << 20, max_concurrency=3)

    return put


def _download(folder: Path) -> Callable[[], object]:
    store = _bucket_store(folder, "down")
    digest = (folder / "digest").read_text()

    def download() -> None:
        with store.open_blob(digest) as blob:
            while blob.read(1 << 20):
                pass

    return download


def _obstore_get(folder: Path) -> Callable[[], object]:
    import obstore
    from obstore.store import S3Store

    made = S3Store("levada", client_options={"allow_http": True})

    def get() -> None:
        with (folder / "alone").open("wb") as file:
            for part in obstore.get(made, "alone").stream():
                file.write(part)

    return get


# ---------------------------------------------------------------- runs


def run(folder: Path) -> None:
    print(f"a run of {STEPS} steps")
    (folder / "pipeline.py").write_text(_chain())
    times: dict[str, list[float]] = {"on S3": [], "in a folder": []}
    with _server(folder) as bucket:
        for number in range(ROUNDS + 1):
            stores = (f"{bucket.url}/{number}", str(folder / f"store-{number}"))
            for name, store in zip(times, stores, strict=True):
                seconds = _levada_run(folder, store)
                times[name] += [seconds] if number else []  # the first one compiles
    for name, took in times.items():
        print(f"  {name:16} {statistics.median(took):.2f} s, least {min(took):.2f} s")
    ratio(times["on S3"], times["in a folder"], "wall")


def _levada_run(folder: Path, store: str) -> float:
    command = [str(Path(sys.executable).parent / "levada"), "run", "pipeline.py", "--store", store]
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return time.perf_counter() - start


def _chain() -> str:
    """A pipeline in which each of 50 steps adds one."""
    lines = ["from levada import pipeline, step", "", "@step", "def add(x: int) -> int:"]
    lines += ["    return x + 1", "", "@pipeline", "def chain(x: int = 0):"]
    lines += ["    x = add(x)"] * STEPS
    return "\n".join([*lines, "    return x", ""])


def requests(folder: Path) -> None:
    print(f"requests for {VALUES} values of 1 KiB through a step each")
    (folder / "pipeline.py").write_text(_fan_out())
    with _server(folder) as bucket, fault_proxy(bucket.port) as proxy:
        os.environ.update(bucket.through(proxy.port).environment)
        for name in ("the first run", "all cached"):
            proxy.requests.clear()
            seconds = _levada_run(folder, f"{bucket.url}/requests")
            print(f"  {name}: {len(proxy.requests) / VALUES:.2f} requests a step, {seconds:.1f} s")
            for kind, count in sorted(_kinds(proxy).items(), key=lambda each: -each[1]):
                print(f"    {count:5} {kind}")


def _kinds(proxy: FaultProxy) -> Counter[str]:
    """Count requests by their method and the kind of what is asked for."""
    found: Counter[str] = Counter()
    for request in proxy.requests:
        path, _, query = request.target.partition("?")
        parts = path.split("/")[3:]
        name = parts[0] if parts[:1] in (["blobs"], ["cache"]) else parts[-1] if parts else ""
        found[f"{request.method} {'list' if 'list-type' in query else name}"] += 1
    return found


def _fan_out() -> str:
    """A pipeline that sends each of 100 values of 1 KiB through a step."""
    return f"""
from levada import pipeline, step

@step
def make(count: int) -> list[str]:
    return [str(number).rjust(1024, "x") for number in range(count)]

@step
def turned(value: str) -> str:
    return value[::-1]

@pipeline
def values(count: int = {VALUES}):
    return [turned(value) for value in make(count)]
"""


PARTS = {"arrays": arrays, "files": files, "run": run, "requests": requests}
WORKS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "put": _put,
    "write+sha256": _write_and_hash,
    "get": _get,
    "sha256+load": _hash_and_load,
    "upload": _upload,
    "obstore put": _obstore_put,
    "download": _download,
    "obstore get": _obstore_get,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]))
    else:
        main(sys.argv[1:])
