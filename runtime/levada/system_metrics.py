"""What a step used over time: CPU, memory, disk, network and GPUs, sampled while it runs.

A thread of the attempt's process takes the first sample after a second and then one every few
seconds; of a step that is over before, there are only the totals (`levada.resources`). Figures are
of the step's process and those that it started, read from ``/proc``; of memory that they share,
each of these has its part. The network's are of the network namespace: of the pod in a cluster,
else of the machine. Where NVIDIA's driver is installed, GPUs are read by NVML: those whose numbers
`CUDA_VISIBLE_DEVICES` has, else all. Their figures are of the whole device. Elsewhere than on Linux
there is the CPU alone.

The thread takes no signals, holds no lock that a forked process could wait for, and keeps no
process alive. Python 3.12 and later warn of forks in a process that has threads (a
DeprecationWarning that is hidden by default). No hook of `os.register_at_fork` ends the thread for
that time: what the handler of a signal raises in such a hook is lost, and with it the timeout of a
step.
"""

from __future__ import annotations

import json
import os
import signal
from _thread import allocate_lock, start_new_thread
from time import monotonic, time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.record_types import Series, SystemEntry
    from levada.store import Store

#: The variable with the seconds between two samples; ``0`` or ``off`` for none.
SECONDS = "LEVADA_SYSTEM_METRICS_SECONDS"
_DEFAULT, _LEAST, _FIRST = 5.0, 0.1, 1.0
#: Samples that are kept. When there are as many, every second one is dropped, and from then on
#: there is half as much to drop: a week is as large as an hour.
_MOST = 1_000
#: Processes that are looked at, and tasks of each whose children are.
_MOST_PROCESSES, _MOST_TASKS = 256, 256
#: Seconds that the step waits for the thread at most, which may be waiting for a driver.
_PATIENCE = 0.2
#: What is there if NVIDIA's driver is; loading NVML takes longer than asking for that.
_DRIVER = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")
_NVML = "libnvidia-ml.so.1"
_MOST_GPUS = 16


class SystemMetrics:
    """Samples what this process and its children use, from :meth:`start` to :meth:`stop`."""

    def __init__(self, interval: float | None = None) -> None:
        self._interval = _configured() if interval is None else interval
        self._wake = allocate_lock()  # held until the thread is to end
        self._done = allocate_lock()  # held until it has ended
        self._is_running = False
        self._samples: list[tuple[int, dict[str, float]]] = []
        self._count = 0
        self._ranges: dict[str, tuple[float, float]] = {}
        self._every = 1
        self._due = 0.0
        self._probe: _Probe | None = None

    def start(self) -> None:
        """Begin to sample in a thread, unless that is switched off."""
        if self._interval <= 0:
            return
        self._due = monotonic() + min(_FIRST, self._interval)
        self._probe = _Probe()
        self._wake.acquire()
        self._done.acquire()
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # no more threads can be started
            return
        self._is_running = True

    def stop(self) -> None:
        """End the thread. If it waits for a driver just now, it ends by itself later."""
        if self._is_running:
            self._is_running = False
            self._wake.release()
            self._done.acquire(timeout=_PATIENCE)

    def entries(self, store: Store) -> dict[str, SystemEntry]:
        """Say what was sampled, for the record; the series are stored. Raises StoreError."""
        samples = list(self._samples)
        names = sorted({name for _, sample in samples for name in sample})
        if not names:
            return {}
        digest = ""
        if len(samples) > 1:
            text = json.dumps(_series(samples, names), separators=(",", ":"))
            digest = store.put_blob(text.encode())
        return {name: self._entry(name, samples, digest) for name in names}

    def _entry(
        self, name: str, samples: list[tuple[int, dict[str, float]]], digest: str
    ) -> SystemEntry:
        values = [sample[name] for _, sample in samples if name in sample]
        low, high = self._ranges[name]
        entry: SystemEntry = {"last": values[-1], "min": low, "max": high, "count": len(values)}
        if digest:
            entry["series"] = digest
        return entry

    def _run(self) -> None:
        try:
            _block_signals()
            while not self._wake.acquire(timeout=max(self._due - monotonic(), 0.0)):
                self._take()
                self._due = max(self._due + self._interval, monotonic() + self._interval / 2)
        except Exception:  # noqa: BLE001  whatever it is, the step goes on without it
            return
        finally:
            self._done.release()

    def _take(self) -> None:
        if self._probe is None:
            return
        sample = self._probe.sample()
        self._count += 1
        for name, value in sample.items():
            low, high = self._ranges.get(name, (value, value))
            self._ranges[name] = min(low, value), max(high, value)
        if self._count % self._every:
            return
        self._samples.append((time_ns(), sample))
        if len(self._samples) >= _MOST:
            self._samples = self._samples[1::2]
            self._every *= 2


def _series(samples: list[tuple[int, dict[str, float]]], names: list[str]) -> dict[str, Series]:
    """Give the samples in the form of `levada.metric_series`."""
    from levada.records import timestamp

    found: dict[str, Series] = {}
    for name in names:
        held = [(at, sample[name]) for at, sample in samples if name in sample]
        found[name] = {
            "step": [None] * len(held),
            "time": [timestamp(at) for at, _ in held],
            "value": [value for _, value in held],
        }
    return found


def _configured() -> float:
    """Return the seconds between two samples; 0 for none."""
    text = os.environ.get(SECONDS, "").strip()
    if not text:
        return _DEFAULT
    try:
        seconds = float(text)
    except ValueError:
        return 0.0 if text.lower() in ("off", "false", "no") else _DEFAULT
    return max(seconds, _LEAST) if 0 < seconds < 1e6 else 0.0


def _block_signals() -> None:
    """Leave signals to the step's own threads: this one must not take them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


# ---------------------------------------------------------------- what is read


class _Probe:
    """Reads the system's counters; a figure that it does not have is left out."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._gpus: _Gpus | None = None
        self._looks_for_gpus = any(os.path.exists(mark) for mark in _DRIVER)
        if self._looks_for_gpus:
            import ctypes  # noqa: F401  here: a process forked in an import would wait for its lock
        self._before = self._counters()
        self._at = monotonic()

    def sample(self) -> dict[str, float]:
        """Give the figures of now; rates are of the time since the last sample."""
        now, counters = monotonic(), self._counters()
        seconds = max(now - self._at, 1e-3)
        found: dict[str, float] = {}
        for name, value in counters.items():
            if name == "memory_bytes":
                found[f"system.{name}"] = value
            elif name in self._before:
                rate = max(value - self._before[name], 0.0) / seconds
                is_cpu = name == "cpu_seconds"
                shown = "cpu_percent" if is_cpu else f"{name}_per_second"
                found[f"system.{shown}"] = round(rate * 100 if is_cpu else rate, 1)
        self._before, self._at = counters, now
        found.update(self._of_gpus())
        return found

    def _counters(self) -> dict[str, float]:
        found = _of_processes(self._process) or _of_getrusage()
        received, sent = _network()
        if received is not None and sent is not None:
            found |= {"network_received_bytes": received, "network_sent_bytes": sent}
        return found

    def _of_gpus(self) -> dict[str, float]:
        if self._looks_for_gpus:
            self._looks_for_gpus = False
            self._gpus = _open_gpus()
        return {} if self._gpus is None else self._gpus.sample()


def _of_processes(root: int) -> dict[str, float]:
    """Add up what a process and those below it have used; nothing without ``/proc``."""
    found: dict[str, float] = {}
    pending, seen = [root], 0
    while pending and seen < _MOST_PROCESSES:
        process = pending.pop()
        figures = _of_process(process)
        if figures is None:
            continue
        seen += 1
        if process != root and (share := _share(process)) is not None:
            figures["memory_bytes"] = share
        for name, value in figures.items():
            found[name] = found.get(name, 0.0) + value
        pending += _children(process)
    return found


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def _of_process(process: int) -> dict[str, float] | None:
    """Give the CPU seconds, with those of children that have ended, memory, and bytes of disks.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: the second field, in brackets, may
    have spaces and brackets in it. Fields 14 to 17 are times, 24 is the resident set in pages.
    """
    fields = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()
    if len(fields) < 22:
        return None
    found = {
        "cpu_seconds": sum(int(field) for field in fields[11:15]) / _TICKS,
        "memory_bytes": float(int(fields[21]) * _PAGE),
    }
    for line in _read(f"/proc/{process}/io").splitlines():
        name, _, value = line.partition(b": ")
        if name == b"read_bytes":
            found["disk_read_bytes"] = float(value)
        elif name == b"write_bytes":
            found["disk_write_bytes"] = float(value)
    return found


def _share(process: int) -> float | None:
    """Give a process's part of the memory that it shares, and all that it has alone.

    However many forked processes have what is in the step's process, together they count it less
    than once more. None where the kernel does not say.

    https://docs.kernel.org/filesystems/proc.html: Pss of smaps_rollup, in kB.
    """
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return float(int(line.split()[1]) * 1024)
    return None


def _children(process: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{process}/task")[:_MOST_TASKS]
    except OSError:
        return []
    texts = (_read(f"/proc/{process}/task/{task}/children") for task in tasks)
    return [int(child) for text in texts for child in text.split()]


def _of_getrusage() -> dict[str, float]:
    try:
        from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
    except ImportError:
        return {}
    used = (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN))
    return {"cpu_seconds": sum(each.ru_utime + each.ru_stime for each in used)}


def _network() -> tuple[float, float] | tuple[None, None]:
    """Give the bytes received and sent by all interfaces but the loopback."""
    lines = _read("/proc/self/net/dev").splitlines()[2:]
    if not lines:
        return None, None
    received = sent = 0.0
    for line in lines:
        name, _, rest = line.partition(b":")
        fields = rest.split()
        if name.strip() != b"lo" and len(fields) >= 9:
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent


def _read(path: str) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, 65_536)
    except OSError:  # the process has ended
        return b""
    finally:
        os.close(file)


class _Gpus:
    """The GPUs of this machine by NVML, NVIDIA's library.

    https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
    """

    def __init__(self, library: Any, devices: dict[int, Any]) -> None:
        import ctypes

        class Utilization(ctypes.Structure):  # nvmlUtilization_t
            _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))

        class Memory(ctypes.Structure):  # nvmlMemory_t
            _fields_ = tuple((name, ctypes.c_ulonglong) for name in ("total", "free", "used"))

        self._library, self._devices = library, devices
        self._by_reference = ctypes.byref
        self._utilization, self._memory = Utilization(), Memory()

    def sample(self) -> dict[str, float]:
        """Give utilisation and memory in use of each device; what NVML refuses is left out."""
        found: dict[str, float] = {}
        utilization, memory = self._utilization, self._memory
        for number, device in self._devices.items():
            name = f"system.gpu.{number}"
            rates, held = self._by_reference(utilization), self._by_reference(memory)
            if self._library.nvmlDeviceGetUtilizationRates(device, rates) == 0:
                found[f"{name}.percent"] = float(utilization.gpu)
            if self._library.nvmlDeviceGetMemoryInfo(device, held) == 0:
                found[f"{name}.memory_bytes"] = float(memory.used)
        return found


def _open_gpus() -> _Gpus | None:
    """Open NVML; None where it is not there or has no device.

    It is not shut down: the step may use it too.
    """
    import ctypes

    try:
        library = ctypes.CDLL(_NVML)
        if library.nvmlInit_v2() != 0:
            return None
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return None
        devices: dict[int, Any] = {}
        for number in _visible_gpus(count.value)[:_MOST_GPUS]:
            device = ctypes.c_void_p()
            if library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) == 0:
                devices[number] = device
    except (OSError, AttributeError):  # no such library, or no such function in it
        return None
    return _Gpus(library, devices) if devices else None


def _visible_gpus(count: int) -> list[int]:
    """Give the numbers of the GPUs that the step may use; all where they are named by UUID.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables: what comes
    after a number that is none does not count. NVML numbers GPUs by their place on the bus, as CUDA
    does with ``CUDA_DEVICE_ORDER=PCI_BUS_ID``.
    """
    text = os.environ.get("CUDA_VISIBLE_DEVICES")
    if text is None or "GPU-" in text or "MIG-" in text:
        return list(range(count))
    found: list[int] = []
    for word in text.split(","):
        if not word.strip().isdecimal() or int(word) >= count:
            break
        found.append(int(word))
    return sorted(set(found))
