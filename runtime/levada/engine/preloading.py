"""Importing installed distributions in a server, so that attempts are forked with them loaded.

A step must not be able to tell. So a server imports nothing of the project, and of installed
distributions only what the step's module imports before it does anything else
(:meth:`levada.code.Code.preloads`). Where such an import does more than define things, no attempt
is forked from there, and each imports the distributions itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Self

    from levada.code import Preload

#: jemalloc locks itself around a fork, and starts this thread again in the new process.
_FORK_SAFE_THREADS = ("jemalloc_bg_thd",)
#: Audit events of an import that leaves something that all forked processes would share.
_SHARED = ("tempfile.mkdtemp", "tempfile.mkstemp", "socket.bind", "socket.connect")
_LIBRARY = os.path.dirname(os.__file__) + "/"
_FORK_SAFE_MODULES = ("/tempfile.py", "/multiprocessing/process.py")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def preload(imports: Iterable[Preload], roots: list[str]) -> bool:
    """Import the modules in order, as a step below ``roots`` does; whether forking is safe now.

    It is not if an import failed, printed, wrote a file, made a temporary file or a connection,
    left a file open, started a thread, made or seeded a generator of random numbers, asked for
    random bytes, changed the working folder, the import path or a signal's handler, or imported
    a module of the project.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "memfd_create"):
        return False
    sys.path[:] = roots + [entry for entry in sys.path if entry not in roots]
    before = _state()
    with _Watch() as watch:
        is_quiet = _import_quietly(imports)
    return (
        is_quiet
        and not watch.has_seen
        and _state() == before
        and not _project_modules(roots)
        and _is_alone_after_a_fork()
    )


def renew_randomness() -> None:
    """Give a forked process random numbers of its own; Python's generator has them already."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


class _Watch:
    """Notes what an import shares with all processes that are forked after it.

    A seed is one such thing: each forked process has Python's own generator seeded anew, and
    others not at all. An identifier that is made of random bytes is another.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.has_seen = False
        self._kept = [
            (owner, name, getattr(owner, name))
            for owner, name in ((random, "seed"), (random.Random, "seed"), (os, "urandom"))
        ]

    def __enter__(self) -> Self:
        sys.addaudithook(self)
        for owner, name, function in self._kept:
            setattr(owner, name, self._noting(function))
        self.is_on = True
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self._kept:
            setattr(owner, name, function)
        self.is_on = False

    def _noting(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            self.has_seen = self.has_seen or not _is_fork_safe(sys._getframe(1))
            return function(*arguments, **named)

        return call

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_on and (
            event in _SHARED or (event == "open" and _writes(arguments[0], arguments[2]))
        ):
            self.has_seen = True


def _is_fork_safe(frame: FrameType | None) -> bool:
    """Whether a module of Python's library asks that handles forks itself, as ``tempfile`` does."""
    while frame is not None and frame.f_code.co_filename.startswith(("<frozen ", _LIBRARY)):
        if frame.f_code.co_filename.endswith(_FORK_SAFE_MODULES):
            return True
        frame = frame.f_back
    return False


def _writes(path: object, flags: object) -> bool:
    """Whether a file is opened for writing, but for Python's own bytecode."""
    if not isinstance(flags, int) or not flags & _WRITING or isinstance(path, int):
        return False
    return "__pycache__" not in str(path) and str(path) != os.devnull


def _state() -> list[object]:
    """What an import has no reason to change."""
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    return [_open_files(), os.getcwd(), list(sys.path), handlers]


def _import_quietly(imports: Iterable[Preload]) -> bool:
    """Whether all could be imported and printed nothing."""
    printed = os.memfd_create("levada-import")
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        for module, name in imports:
            __import__(module, fromlist=[name] if name else ())
        sys.stdout.flush()
        sys.stderr.flush()
        return os.fstat(printed).st_size == 0
    except BaseException:  # noqa: BLE001 - each attempt meets it again, and its record says so
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
            continue  # the listing itself
    return found


def _project_modules(roots: list[str]) -> bool:
    """Whether a module of the project is loaded: it has the name of one that a library imports."""
    files = [
        getattr(module, "__file__", None) or ""
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] != "levada"  # Levada's own checkout is a project too
    ]
    return any(
        file.startswith(f"{root}/") and "/site-packages/" not in file[len(root) :]
        for file in files
        for root in roots
    )


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
            continue  # it ended meanwhile
    return names
