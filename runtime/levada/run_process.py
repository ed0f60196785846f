"""Which process runs a run of the local engine, and whether it still does.

A number of a process is used again after a while, so a process is told by when it was started too.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.record_types import ProcessPart

#: The 22nd field of /proc/<pid>/stat, counted from the state, which comes after the name:
#: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_STARTED = 19


def current() -> ProcessPart:
    """Describe the process that asks."""
    pid = os.getpid()
    return {"pid": pid, "host": os.uname().nodename, "started": _started(pid)}


def is_here(process: ProcessPart) -> bool:
    """Whether the process is, or was, on this machine."""
    return process["host"] == os.uname().nodename


def is_alive(process: ProcessPart) -> bool | None:
    """Whether a process still runs; None for one of another machine.

    >>> is_alive(current())
    True
    """
    if not is_here(process):
        return None
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's, or no number of a process
        pass
    return process["started"] is None or process["started"] == _started(process["pid"])


def _started(pid: int) -> str | None:
    """Return the boot of the machine and the ticks from it to the start of a process, on Linux."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[:1] == [b"Z"]:  # it has ended, and its parent has not asked yet
        return None
    return f"{boot}:{fields[_STARTED].decode()}"
