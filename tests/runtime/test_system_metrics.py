"""What a step used over time: what is sampled, and that the step does not notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from levada import document_schemas, system_metrics
from levada.forking import fork_among_threads
from levada.store import open_store
from levada.system_metrics import SystemMetrics

from tests.engine.project import Project

HAS_PROC = Path("/proc/self/stat").exists()
linux = pytest.mark.skipif(not HAS_PROC, reason="figures of processes are read from /proc")


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


def sampled(store, work, interval=0.1):
    sampler = SystemMetrics(interval)
    sampler.start()
    try:
        work()
    finally:
        sampler.stop()
    return sampler.entries(store)


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


@linux
def test_cpu_memory_disk_and_network(store):
    held = b"x" * 50_000_000
    found = sampled(store, lambda: spin(1.0))
    assert len(held) == 50_000_000
    assert found["system.cpu_percent"]["max"] > 5  # other tests want the processor too
    assert found["system.memory_bytes"]["last"] > 50_000_000
    assert found["system.network_received_bytes_per_second"]["min"] >= 0
    assert found["system.cpu_percent"]["count"] >= 3
    series = json.loads(store.read_blob(found["system.memory_bytes"]["series"]))
    assert set(series) == set(found)
    of_memory = series["system.memory_bytes"]
    assert len(of_memory["time"]) == len(of_memory["value"]) == len(of_memory["step"])
    assert of_memory["time"] == sorted(of_memory["time"])
    assert max(of_memory["value"]) == found["system.memory_bytes"]["max"]


@linux
def test_the_processes_that_a_step_starts_count(store):
    script = "import time; held = b'x' * 80_000_000; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script])
    try:
        found = sampled(store, lambda: time.sleep(1.5))
    finally:
        child.kill()
        child.wait()
    alone = sampled(store, lambda: time.sleep(0.5))
    more = found["system.memory_bytes"]["max"] - alone["system.memory_bytes"]["last"]
    assert more > 80_000_000


@linux
def test_memory_that_processes_share_counts_less_than_twice(store):
    """Workers that are forked have the parent's data; each touches none of it."""
    if system_metrics._share(os.getpid()) is None:
        pytest.skip("this kernel does not say what is shared")
    # In a process of its own: that of the tests holds a gigabyte, which the workers share too.
    alone, found, held = (int(float(word)) for word in of_workers(store).split())
    assert alone > held
    assert found < alone + 2.5 * held  # and not four times as much


def of_workers(store):
    script = (
        f"from tests.runtime.test_system_metrics import fork_workers; fork_workers({store.url!r})"
    )
    command = [sys.executable, "-c", script]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout


def fork_workers(url):
    """Print the bytes before four workers are forked and with them, and how many are held."""
    store = open_store(url)
    held = bytearray(os.urandom(1 << 20) * 100)
    workers = []

    def work():
        for _ in range(4):
            worker = fork_among_threads()
            if worker == 0:
                time.sleep(60)
                os._exit(0)
            workers.append(worker)
        time.sleep(0.6)

    alone = sampled(store, lambda: time.sleep(0.5))["system.memory_bytes"]["last"]
    try:
        found = sampled(store, work)["system.memory_bytes"]["last"]
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
    print(alone, found, len(held))


@linux
def test_what_is_written_to_a_disk_counts(store, tmp_path):
    def write():
        for _ in range(5):
            with (tmp_path / "file").open("wb") as file:
                file.write(os.urandom(1 << 20))
                os.fsync(file.fileno())
            time.sleep(0.1)

    found = sampled(store, write)
    if "system.disk_write_bytes_per_second" not in found:
        pytest.skip("this kernel does not count what processes write")
    assert found["system.disk_write_bytes_per_second"]["max"] >= 0


def test_a_short_step_has_none_and_leaves_no_thread(store):
    before = threading.active_count()
    assert sampled(store, lambda: None, interval=5.0) == {}
    assert threading.active_count() == before
    assert list(store.walk("blobs")) == []


@pytest.mark.parametrize("text", ["0", "off", "OFF", "False", "-3", "nan", "inf"])
def test_it_can_be_switched_off(text, store, monkeypatch):
    monkeypatch.setenv(system_metrics.SECONDS, text)
    sampler = SystemMetrics()
    sampler.start()
    assert not sampler._is_running
    sampler.stop()
    assert sampler.entries(store) == {}


def test_the_interval_is_a_variable(monkeypatch):
    for text, seconds in (("", 5.0), ("2", 2.0), ("0.001", 0.1), ("soon", 5.0)):
        monkeypatch.setenv(system_metrics.SECONDS, text)
        assert SystemMetrics()._interval == seconds


def test_a_long_run_keeps_a_bounded_number_of_samples(store, monkeypatch):
    monkeypatch.setattr(system_metrics, "_MOST", 10)
    sampler = SystemMetrics(0.1)
    sampler._probe = system_metrics._Probe()
    values = iter(range(1000))
    monkeypatch.setattr(
        system_metrics._Probe, "sample", lambda _: {"system.cpu_percent": float(next(values))}
    )
    for _ in range(1000):
        sampler._take()
    entry = sampler.entries(store)["system.cpu_percent"]
    assert 5 <= entry["count"] < 10
    assert (entry["min"], entry["max"]) == (0.0, 999.0)
    kept = json.loads(store.read_blob(entry["series"]))["system.cpu_percent"]["value"]
    steps = {after - before for before, after in pairwise(kept)}
    assert len(steps) == 1  # from one end to the other, and not only the start


# ---------------------------------------------------------------- the step does not notice


def test_forked_processes_have_no_such_thread(store):
    def work():
        for _ in range(20):
            child = fork_among_threads()
            if child == 0:
                os._exit(0 if not HAS_PROC or len([*Path("/proc/self/task").iterdir()]) == 1 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            time.sleep(0.02)

    assert sampled(store, work)["system.cpu_percent"]["count"] >= 1


def test_signals_are_for_the_step(store):
    """A timeout interrupts what the step waits in, and no signal is taken by the thread."""

    class Over(Exception):  # noqa: N818
        pass

    def raise_over(*_):
        raise Over

    before = signal.signal(signal.SIGALRM, raise_over)
    interrupted = 0

    def work():
        nonlocal interrupted
        for _ in range(50):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.01)
                time.sleep(10)
            except Over:
                interrupted += 1

    began = time.monotonic()
    try:
        sampled(store, work)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 50
    assert time.monotonic() - began < 10


@linux
def test_it_keeps_no_process_alive_and_costs_next_to_nothing():
    script = (
        "import time; from levada.system_metrics import SystemMetrics\n"
        "sampler = SystemMetrics(0.1); sampler.start(); time.sleep(0.3)\n"
        "before = time.process_time(); time.sleep(3); print(time.process_time() - before)"
    )
    environment = {"PYTHONPATH": str(Path(system_metrics.__file__).parents[1])}
    command = [sys.executable, "-c", script]
    began = time.monotonic()
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert time.monotonic() - began < 30
    seconds_a_sample = float(ended.stdout) / 30
    assert seconds_a_sample / 5 < 0.001  # one in five seconds: below 0.1 % of a processor


# ---------------------------------------------------------------- GPUs

#: The part of NVIDIA's library that is used: two devices, of which the second has no utilisation.
NVML = r"""
#include <stddef.h>
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
static int devices[2] = {0, 1};
static int initialised = 0;
int nvmlInit_v2(void) { initialised = 1; return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return initialised ? 0 : 1; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index > 1) return 2;
    *device = &devices[index];
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, utilization_t *rates) {
    if (*(int *)device == 1) return 3; /* NVML_ERROR_NOT_SUPPORTED */
    rates->gpu = 73; rates->memory = 20;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    memory->total = 80ULL << 30; memory->used = (3ULL + *(int *)device) << 30;
    memory->free = memory->total - memory->used;
    return 0;
}
"""


def library(folder: Path, source: str) -> str:
    (folder / "nvml.c").write_text(source)
    path = str(folder / "libnvidia-ml.so.1")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, str(folder / "nvml.c")], check=True)
    return path


@pytest.fixture
def with_driver(tmp_path, monkeypatch):
    """There is no GPU where the tests run: a library in C answers as NVIDIA's does."""
    mark = tmp_path / "nvidiactl"
    mark.touch()
    monkeypatch.setattr(system_metrics, "_DRIVER", (str(mark),))
    return lambda path: monkeypatch.setattr(system_metrics, "_NVML", path)


def test_gpus_are_asked_for_by_nvml(store, tmp_path, with_driver):
    with_driver(library(tmp_path, NVML))
    found = sampled(store, lambda: time.sleep(0.5))
    assert found["system.gpu.0.percent"]["last"] == 73.0
    assert found["system.gpu.0.memory_bytes"]["last"] == 3.0 * (1 << 30)
    assert found["system.gpu.1.memory_bytes"]["last"] == 4.0 * (1 << 30)
    assert "system.gpu.1.percent" not in found


@pytest.mark.parametrize(
    ("visible", "numbers"),
    [
        ("1", ["1"]),
        ("0,1", ["0", "1"]),
        ("1,7,0", ["1"]),
        ("", []),
        ("-1", []),
        ("GPU-8a", ["0", "1"]),
    ],
)
def test_gpus_that_the_step_may_not_use_do_not_count(
    store, tmp_path, with_driver, monkeypatch, visible, numbers
):
    with_driver(library(tmp_path, NVML))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = sampled(store, lambda: time.sleep(0.3))
    gpus = [name for name in found if name.startswith("system.gpu.") and name.endswith("bytes")]
    assert sorted(name.split(".")[2] for name in gpus) == numbers


def test_a_driver_without_its_library_or_with_another_one(store, tmp_path, with_driver):
    with_driver(str(tmp_path / "none.so"))
    assert not any("gpu" in name for name in sampled(store, lambda: time.sleep(0.3)))
    with_driver(library(tmp_path, "int nvmlInit_v2(void) { return 9; }"))
    assert not any("gpu" in name for name in sampled(store, lambda: time.sleep(0.3)))


def test_a_driver_that_hangs_does_not_hold_up_the_step(store, tmp_path, with_driver):
    slow = "#include <unistd.h>\nint nvmlInit_v2(void) { sleep(3); return 1; }"
    with_driver(library(tmp_path, slow))
    began = time.monotonic()
    sampled(store, lambda: time.sleep(0.3))
    assert time.monotonic() - began < 2


# ---------------------------------------------------------------- in runs

RUN = """\
@step(environment={"LEVADA_SYSTEM_METRICS_SECONDS": "0.2"})
def configured() -> int:
    time.sleep(1.5)
    return 1

@step
def work() -> int:
    log_metric("loss", 1.0)
    time.sleep(1.6)
    return 1

@step
def short() -> int:
    return 2

@pipeline
def main():
    return work(), short()
"""


def test_a_record_has_them_apart_from_the_metrics_of_the_step(tmp_path):
    project = Project(tmp_path, RUN)
    outcome = project.run()
    record = project.record(outcome, "work")
    assert document_schemas.fits(record, "record")
    assert record["system"]["system.cpu_percent"]["count"] == 1
    assert "series" not in record["system"]["system.cpu_percent"]
    assert [metric["name"] for metric in record["metrics"]] == ["loss"]
    assert "system" not in project.record(outcome, "short")
    observed = record["observed"]
    assert (observed["files"], observed["folders"], observed["unseen"]) == ({}, {}, [])
