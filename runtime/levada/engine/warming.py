"""Importing a pipeline's modules once, so that attempts are forked with them loaded.

It must make no difference to a step. So it is not done where an import printed something, opened
files or connections, left threads running that stay over a fork, seeded random numbers or made
generators of random numbers, or failed: each attempt then imports the modules itself.
"""

from __future__ import annotations

import os
import random
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: jemalloc locks itself around a fork, and starts this thread again in the new process.
_FORK_SAFE_THREADS = ("jemalloc_bg_thd",)
#: Random numbers that imported modules may have drawn, for names of files for instance.
_MOST_DRAWN = 500
_RANDOM_TYPES = ("Random", "SystemRandom", "Generator", "RandomState", "BitGenerator")


def warm(modules: list[str], roots: list[str]) -> bool:
    """Import the modules from these folders; whether attempts may be forked from here now."""
    if not sys.platform.startswith("linux") or not hasattr(os, "memfd_create"):
        return False
    state, files, folder = random.getstate(), _open_files(), os.getcwd()
    path = list(sys.path)
    sys.path[:] = roots + [entry for entry in sys.path if entry not in roots]
    quiet = _import_quietly(modules)
    # As a step finds it before its own import.
    sys.path[:] = path
    return (
        quiet
        and _only_drawn(state)
        and _open_files() == files
        and os.getcwd() == folder
        and not _seeds_kept(roots)
        and _is_alone_after_a_fork()
    )


def renew_randomness() -> None:
    """Give a forked process random numbers of its own, as a fresh one has them."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def _import_quietly(modules: list[str]) -> bool:
    """Whether all could be imported and printed nothing."""
    printed = os.memfd_create("levada-import")
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        for module in modules:
            __import__(module)
        sys.stdout.flush()
        sys.stderr.flush()
        return os.fstat(printed).st_size == 0
    except BaseException:  # noqa: BLE001 - the attempts will meet it again, and tell it
        return False
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (printed, *saved):
            os.close(descriptor)


def _open_files() -> set[tuple[str, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:
            continue  # The listing itself.
    return found


def _only_drawn(state: tuple[Any, ...]) -> bool:
    """Whether Python's generator is where it was, or some numbers further on.

    It is seeded anew in every forked process, which would undo a seed set by hand.
    """
    found, replayed = random.getstate(), random.Random()  # noqa: S311
    replayed.setstate(state)
    for _ in range(_MOST_DRAWN):
        if replayed.getstate() == found:
            return True
        replayed.getrandbits(32)
    return False


def _seeds_kept(roots: list[str]) -> bool:
    """Whether the project seeded NumPy, or keeps generators that all forks would share."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None and _seeded(numpy):
        return True
    own = [m for m in list(sys.modules.values()) if _is_below(m, roots)]
    kinds = {type(value).__name__ for module in own for value in list(vars(module).values())}
    return not kinds.isdisjoint(_RANDOM_TYPES)


def _seeded(numpy_random: Any) -> bool:
    """NumPy forgets the seed sequence of its global state when that is seeded by hand."""
    try:
        return numpy_random.mtrand._rand._bit_generator._seed_seq is None
    except AttributeError:
        return True


def _is_below(module: object, roots: list[str]) -> bool:
    file = getattr(module, "__file__", None) or ""
    return "/site-packages/" not in file and any(file.startswith(f"{r}/") for r in roots)


def _is_alone_after_a_fork() -> bool:
    """Whether this process has one thread when it forks, but for those that allow for it.

    Libraries such as OpenBLAS start threads when they are imported and end them before a fork.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    for _ in range(20):
        # A thread that was ended is listed for a moment longer.
        if len([name for name in _threads() if name not in _FORK_SAFE_THREADS]) == 1:
            return True
        time.sleep(0.005)
    return False


def _threads() -> list[str]:
    names = []
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/comm") as file:
                names.append(file.read().strip())
        except OSError:
            continue  # It ended meanwhile.
    return names
