"""Uploads what an attempt writes while it runs, where the store is not on this machine.

The attempt appends to files in its spool, a folder of this machine. A process of its own sends what
is new in them every few seconds, as documents ``log.000001``, ``log.000002``, … beside the place of
the whole; so a log can be followed, and outlives a machine. At the end the whole is stored as
``log``, and the parts are removed: by the attempt, or by the process if only the attempt is gone.

Most attempts are over before there is anything to send: the process is forked, waits, and only then
becomes a new program, since a forked process cannot use a bucket (`levada.stores.bucket`).
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from levada.store import Store

#: The files of a spool that are uploaded.
FILES = ("log", "metrics")
#: Seconds from the start to the first part, and between two parts.
_FIRST, _INTERVAL = 2.0, 3.0
#: Bytes of a part at most; what is left comes with the next one.
_LARGEST = 8 << 20
#: The exit status of the process if it has sent parts.
_HAS_PARTS = 3
_OVER = b"."


class LogUpload:
    """The upload of one attempt's files, from :meth:`start` to :meth:`finish`.

    A spool that ``is_own`` is removed at the end; if the attempt is killed, once its files are
    stored.
    """

    def __init__(self, store: Store, folder: str, spool: str, *, is_own: bool = False) -> None:
        self._store = store
        self._folder = folder
        self._spool = spool
        self._is_own = is_own
        self._process = 0
        self._control = -1

    def start(self) -> None:
        """Start the process; it ends by itself if this one ends."""
        os.makedirs(self._spool, 0o700, exist_ok=True)
        told = {"url": self._store.url, "folder": self._folder, "spool": self._spool}
        told |= {"path": os.pathsep.join(sys.path), "attempt": str(os.getpid())}
        told["own"] = "yes" if self._is_own else ""
        command = [sys.executable, "-I", __file__, json.dumps(told)]
        read, self._control = os.pipe()
        from levada.forking import fork_among_threads  # this file is also run with no path

        self._process = fork_among_threads()
        if self._process == 0:
            _wait_and_become(command, read, self._control)
        os.close(read)

    def finish(self) -> None:
        """Store the whole files in place of their parts. Raises StoreError."""
        has_parts = True
        try:
            os.write(self._control, _OVER)
            status = os.waitpid(self._process, 0)[1]
            has_parts = os.waitstatus_to_exitcode(status) != 0
        except (BrokenPipeError, ChildProcessError):
            pass  # It was killed, or waited for by the step itself.
        os.close(self._control)
        try:
            store_whole(self._store, self._folder, self._spool, has_parts=has_parts)
        finally:
            if self._is_own:
                _remove(self._spool)


def _wait_and_become(command: list[str], read: int, write: int) -> NoReturn:
    """Wait, in the forked child, until there may be something to send; then run the uploader."""
    try:
        os.setpgid(0, 0)  # An interrupt from the terminal is for the attempt.
        os.close(write)
        os.dup2(read, 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)  # Who reads what the attempt prints must not wait for this process.
        if not select.select([0], [], [], _FIRST)[0] or os.read(0, 1) != _OVER:
            os.execv(command[0], command)  # noqa: S606  there is no shell in it
    finally:
        os._exit(0)


def store_whole(store: Store, folder: str, spool: str, *, has_parts: bool = True) -> None:
    """Store the files of a spool in an attempt's folder, in place of parts. Raises StoreError."""
    for name in FILES:
        local = os.path.join(spool, name)
        try:
            if os.path.getsize(local):
                store.write_file(f"{folder}/{name}", local)
        except FileNotFoundError:
            continue
    if has_parts:
        from levada.store import StoreError

        with suppress(StoreError):  # who may not remove anything leaves them
            remove_parts(store, folder)


def remove_parts(store: Store, folder: str) -> None:
    """Remove the parts of logs in an attempt's folder. Raises StoreError."""
    names = [name for name in store.list(folder) if name.partition(".")[0] in FILES]
    store.delete_all([f"{folder}/{name}" for name in names if name not in FILES])


class _Uploader:
    """The process: sends parts until the attempt is over or gone."""

    def __init__(self, told: dict[str, str]) -> None:
        self._told = told
        self._offsets = dict.fromkeys(FILES, 0)
        self._numbers = dict.fromkeys(FILES, 0)
        self._store: Store | None = None

    def run(self) -> int:
        """Give the exit status."""
        wait, parent = 0.0, int(self._told["attempt"])
        while not select.select([0], [], [], wait)[0] and os.getppid() == parent:
            began = time.monotonic()
            self._send_parts()
            wait = max(0.0, _INTERVAL - (time.monotonic() - began))
        # What the step has forked may hold the pipe open; then nothing is there to read.
        if os.getppid() != parent or os.read(0, 1) != _OVER:
            self._store_whole()
        return _HAS_PARTS if any(self._numbers.values()) else 0

    def _opened(self) -> Store:
        if self._store is None:
            sys.path[:] = self._told["path"].split(os.pathsep)
            from levada.store import StoreError, open_store

            self._store = open_store(self._told["url"])
            # Those of an earlier try of this attempt, in a pod that is gone.
            with suppress(StoreError):
                remove_parts(self._store, self._told["folder"])
        return self._store

    def _send_parts(self) -> None:
        for name in FILES:
            try:
                with open(os.path.join(self._told["spool"], name), "rb") as file:
                    file.seek(self._offsets[name])
                    data = file.read(_LARGEST)
            except FileNotFoundError:
                continue
            if data and self._send(f"{name}.{self._numbers[name] + 1:06d}", data):
                self._offsets[name] += len(data)
                self._numbers[name] += 1

    def _send(self, name: str, data: bytes) -> bool:
        """Send a part; False if that fails: it comes with the next one."""
        store = self._opened()
        from levada.store import StoreError

        try:
            store.write_once(f"{self._told['folder']}/{name}", data)
        except StoreError:
            return False
        return True

    def _store_whole(self) -> None:
        """Store what an attempt left that is gone."""
        store = self._opened()
        from levada.store import StoreError

        try:
            store_whole(store, self._told["folder"], self._told["spool"])
        except StoreError:
            return  # The parts stay, and the spool.
        if self._told["own"]:
            _remove(self._told["spool"])


def _remove(spool: str) -> None:
    from shutil import rmtree

    rmtree(spool, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(_Uploader(json.loads(sys.argv[1])).run())
