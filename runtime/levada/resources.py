"""What an attempt used: memory, CPU, input and output, from /proc, getrusage and cgroups.

``ru_maxrss`` is not used: a child inherits its parent's peak. ``VmHWM`` is, reset at the start.
A figure that the platform does not give is left out.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.record_types import ResourcesUsed

_CGROUP = "/sys/fs/cgroup"
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


class Usage:
    """Measures from its creation to :meth:`finish`."""

    __slots__ = ("_cpu", "_io")

    def __init__(self) -> None:
        _reset_peak()
        self._cpu = _cpu()
        self._io = _io()

    def finish(self) -> ResourcesUsed:
        """Give what was used since: bytes and seconds."""
        found: ResourcesUsed = {}
        peak = _peak()
        if peak is not None:
            found["peak_memory_bytes"] = peak
        cpu, io = _cpu(), _io()
        if self._cpu is not None and cpu is not None:
            found["cpu_user_seconds"] = round(max(cpu[0] - self._cpu[0], 0.0), 6)
            found["cpu_system_seconds"] = round(max(cpu[1] - self._cpu[1], 0.0), 6)
        if "rchar" in io:
            found["read_bytes"] = max(io["rchar"] - self._io.get("rchar", 0), 0)
        if "wchar" in io:
            found["written_bytes"] = max(io["wchar"] - self._io.get("wchar", 0), 0)
        found.update(_container())
        return found


def _cpu() -> tuple[float, float] | None:
    """Seconds of CPU, own and of the system, of this process and the children it has waited for."""
    try:
        from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
    except ImportError:  # not on Windows
        return None
    own, children = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    return own.ru_utime + children.ru_utime, own.ru_stime + children.ru_stime


def _reset_peak() -> None:
    try:
        file = os.open("/proc/self/clear_refs", os.O_WRONLY)
    except OSError:
        return
    try:
        os.write(file, b"5")
    except OSError:
        return
    finally:
        os.close(file)


def _peak() -> int | None:
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def _io() -> dict[str, int]:
    """Bytes by system calls, files and pipes alike, of this process and its waited children."""
    fields = (line.partition(": ") for line in _read("/proc/self/io").splitlines())
    return {name: int(value) for name, _, value in fields if name in ("rchar", "wchar")}


def _container() -> ResourcesUsed:
    """Peaks of the container's own cgroup, v2 or v1; nothing outside of a container."""
    inside = "KUBERNETES_SERVICE_HOST" in os.environ
    if not inside and not any(os.path.exists(mark) for mark in _CONTAINER_MARKS):
        return {}
    peak = _read(f"{_CGROUP}/memory.peak") or _read(f"{_CGROUP}/memory/memory.max_usage_in_bytes")
    found: ResourcesUsed = {}
    if peak.strip().isdecimal():
        found["container_peak_memory_bytes"] = int(peak)
    kills = _field(_read(f"{_CGROUP}/memory.events"), "oom_kill")
    if kills is None:
        kills = _field(_read(f"{_CGROUP}/memory/memory.oom_control"), "oom_kill")
    if kills is not None:
        found["container_oom_kills"] = kills
    return found


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
