"""Which process runs a run of the local engine, and whether it still does.

A number of a process is used again after a while, and means another process in another container.
So a process is told by its machine's boot and its PID namespace, and by when it was started, too.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.record_types import ProcessPart

#: The 22nd field of /proc/<pid>/stat, counted from the state, which comes after the name:
#: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_STARTED = 19
#: The PID namespace of a machine itself, not of a container: PROC_PID_INIT_INO of Linux.
_OF_MACHINE = "4026531836"
#: Stands for the place where there is no /proc: `ps` says when a process was started.
_BY_PS = "ps"


def current() -> ProcessPart:
    """Describe the process that asks."""
    pid = os.getpid()
    start = _start(pid)
    return {
        "pid": pid,
        "host": os.uname().nodename,
        "started": f"{_place()} {start}" if start else None,
    }


def is_here(process: ProcessPart) -> bool:
    """Whether the process is, or was, on a machine of this name."""
    return process["host"] == os.uname().nodename


def is_alive(process: ProcessPart) -> bool | None:
    """Whether a process still runs; None where that cannot be told.

    That is so for one of another machine or in another container, and for one of which it is not
    known when it was started.

    >>> is_alive(current())
    True
    """
    if not is_here(process) or process["started"] is None:
        return None
    place, _, started = process["started"].rpartition(" ")
    here = _place()
    if place != here:
        return False if _is_before_restart(place, here) else None
    if process["pid"] < 1:
        return False  # `kill` would take it for a group of processes
    start = _start(process["pid"])
    if start is None and _is_there(process["pid"]):
        return None  # another user's, of which this system says nothing
    return bool(start) and start == started


def terminate(process: ProcessPart) -> bool | None:
    """Ask a process to end by SIGTERM if `is_alive` is sure that it is there; return what it says.

    Raises PermissionError for a process that is another user's or certainly none of Levada, and
    ProcessLookupError for one that ends just now.
    """
    import signal

    pid = process["pid"]
    try:
        handle = os.pidfd_open(pid)  # means the same process until it is closed
    except (AttributeError, OSError, OverflowError):
        handle = -1
    try:
        if alive := is_alive(process):
            _refuse_others(pid)
            if handle < 0:
                os.kill(pid, signal.SIGTERM)
            else:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        return alive
    finally:
        if handle >= 0:
            os.close(handle)


def _refuse_others(pid: int) -> None:
    """Raise PermissionError for a process that no run is in, as far as /proc says."""
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read(65_536)
    except OSError:
        return
    if owner != os.geteuid():
        raise PermissionError(f"process {pid} is another user's")
    if not program.startswith(("python", "pypy")) and b"levada" not in command:
        raise PermissionError(f"process {pid} runs {program}, which is not Levada")


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _place() -> str:
    """Name what numbers of processes are of: boot and PID namespace, and the machine if known."""
    try:
        boot = _text("/proc/sys/kernel/random/boot_id")
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return _BY_PS
    return f"{boot} {namespace} {_machine()}"


def _machine() -> str:
    """Return a digest of what systemd calls this machine, which is not to be told; else ``-``."""
    from levada.hashing import sha256

    try:
        machine = _text("/etc/machine-id")
    except (OSError, ValueError):
        return "-"
    return sha256(f"levada {machine}".encode()).hexdigest()[:16] if len(machine) == 32 else "-"


def _is_before_restart(place: str, here: str) -> bool:
    """Whether a place is this machine, before it was restarted: nothing runs there any more."""
    before, now = place.split(), here.split()
    return (
        len(before) == len(now) == 3
        and before[0] != now[0]
        and before[1] == now[1] == _OF_MACHINE
        and before[2] == now[2] != "-"
    )


def _start(pid: int) -> str | None:
    """Say when a process was started; an empty text for one that has ended, None if not known."""
    if _place() == _BY_PS:
        return _start_by_ps(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[:1] == [b"Z"]:  # its parent has not asked yet
        return ""
    return fields[_STARTED].decode()


def _start_by_ps(pid: int) -> str | None:
    import subprocess

    command = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    state, *time = done.stdout.split() or [""]
    return "-".join(time) if state[:1] != "Z" and time else ""


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()
