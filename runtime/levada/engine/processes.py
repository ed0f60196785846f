"""Processes and what they started: finding them, ending them, and not outliving one's parent.

Linux has all of it. Elsewhere a process group stands in for the tree of an attempt.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

LINUX = sys.platform.startswith("linux")


class _Kernel:
    """``prctl``, loaded once: a forked process has it without importing anything."""

    def __init__(self) -> None:
        self.prctl: object = None
        if LINUX:
            import ctypes

            self.prctl = ctypes.CDLL(None, use_errno=True).prctl


_kernel: list[_Kernel] = []


def _prctl(option: int, value: int) -> None:
    if not _kernel:
        _kernel.append(_Kernel())
    function = _kernel[0].prctl
    if callable(function):
        function(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of all descendants that lose theirs."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """End this process when ``parent``, which started it, ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undo :func:`die_with_parent`."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def kill_tree(leader: int) -> None:
    """Kill a process and all that it started, also what left its process group or session.

    Everything is stopped before it is killed, so that nothing can start more meanwhile.
    """
    if not LINUX:
        _send(leader, signal.SIGKILL, group=True)
        return
    _send(leader, signal.SIGSTOP)
    stopped = {leader}
    while found := descendants(stopped) - stopped:
        for pid in found:
            _send(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        _send(pid, signal.SIGKILL)


def descendants(of: set[int]) -> set[int]:
    """All processes below those given."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    pending = list(of)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def children() -> set[int]:
    """The processes whose parent is this one."""
    pid = os.getpid()
    try:
        with open(f"/proc/self/task/{pid}/children", "rb") as file:
            return {int(word) for word in file.read().split()}
    except OSError:
        return {child for child, parent in _parents() if parent == pid} if LINUX else set()


def _parents() -> list[tuple[int, int]]:
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name of the program is in parentheses and may hold anything.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # It ended meanwhile.
        found.append((int(name), int(fields[1])))
    return found


def _send(pid: int, number: int, *, group: bool = False) -> None:
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
