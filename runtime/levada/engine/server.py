"""A process that forks one process for each attempt, so that an attempt costs milliseconds.

It is started by the local engine with a socket as its standard input and never imports anything
of the project. It adopts and ends whatever attempts leave behind, and ends with all of it when the
engine is gone, however that went.

From the engine, each a line: ``start ID LENGTH`` followed by LENGTH bytes (the request as JSON),
``signal ID NUMBER``, ``kill ID``; first of all ``prepare 0 LENGTH`` with the store's URL, the
imports and the requirements of the steps to come, and ``preload 0 LENGTH`` with modules of
installed distributions and the folders of the project. To the engine: ``preloaded 0 0|1`` (after 0
the server ends), ``started ID``, and ``exit ID STATUS`` with the status of waitpid.
"""

from __future__ import annotations

# Not all of these are used here: what every attempt needs is loaded once.
import encodings.ascii  # noqa: F401
import gc
import importlib  # noqa: F401
import json
import os
import resource  # noqa: F401
import select
import signal
import socket
import warnings  # noqa: F401
from contextlib import suppress

from levada import (  # noqa: F401
    cache,
    environment,
    handover,
    materializers,
    request,
    return_types,
    runner,
    store,
)

from . import preloading, processes

#: How much more readily than others the kernel may kill an attempt when memory runs out.
_OOM_SCORE = b"500"


class Server:
    """Forks attempts on request and reports their ends."""

    def __init__(self, engine: socket.socket) -> None:
        self._engine = engine
        self._received = bytearray()
        self._leaders: dict[int, str] = {}
        #: what the processes that run were asked to do
        self._requests: dict[int, bytes] = {}
        self.has_preloaded = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def serve(self) -> None:
        """Serve until the engine is gone."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._engine, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll()}
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                self._reap()
                if self._engine.fileno() in ready and not self._receive():
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass
        self._end_all()

    def _receive(self) -> bool:
        data = self._engine.recv(1 << 20)
        self._received += data
        while self._command():
            pass
        return bool(data)

    def _command(self) -> bool:
        """Carry out the first command that is there whole."""
        end = self._received.find(b"\n")
        if end < 0:
            return False
        words = self._received[:end].decode().split()
        body = end + 1
        if words[0] in ("start", "prepare", "preload"):
            length = int(words[2])
            if len(self._received) < body + length:
                return False
            payload = bytes(self._received[body : body + length])
            del self._received[: body + length]
            if words[0] == "start":
                self._start(words[1], payload)
            elif words[0] == "preload":
                self._preload(payload)
            else:
                _prepare(payload)
            return True
        del self._received[:body]
        pids = [pid for pid, number in self._leaders.items() if number == words[1]]
        for pid in pids:
            if words[0] == "kill":
                processes.kill_tree(pid)
            else:
                os.kill(pid, int(words[2]))
        return True

    def _preload(self, payload: bytes) -> None:
        imports, roots = json.loads(payload)
        # An import may take any time, in which the end of the engine would not be noticed.
        processes.die_with_parent(os.getppid())
        self.has_preloaded = preloading.preload(imports, roots)
        processes.outlive_parent()
        self._engine.sendall(f"preloaded 0 {int(self.has_preloaded)}\n".encode())
        if not self.has_preloaded:
            os._exit(0)  # nothing runs yet, and what an import left behind must not hold this up
        gc.collect()
        gc.freeze()

    def _start(self, number: str, payload: bytes) -> None:
        server = os.getpid()
        # No signal may end the child before it can write a record of that (`runner.Signals`).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self._become_attempt(server)
                code = run_attempt(payload, "fork" if self.has_preloaded else "fresh")
            except BaseException:  # noqa: BLE001 - this process must not go on as a server
                _report_fault()
            finally:
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self._leaders[pid], self._requests[pid] = number, payload
        self._engine.sendall(f"started {number}\n".encode())

    def _become_attempt(self, server: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._engine.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        os.setsid()
        processes.adopt_orphans()
        processes.die_with_parent(server)
        _offer_memory()
        if self.has_preloaded:
            preloading.renew_randomness()

    def _reap(self) -> None:
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            ended = True
            number = self._leaders.pop(pid, None)
            self._requests.pop(pid, None)
            if number is not None:
                self._engine.sendall(f"exit {number} {status}\n".encode())
        if ended:
            self._end_left_behind()

    def _end_left_behind(self) -> None:
        """Processes that an attempt left running when it ended."""
        for pid in processes.children() - self._leaders.keys():
            processes.kill_tree(pid)

    def _end_all(self) -> None:
        for pid in list(self._leaders):
            processes.kill_tree(pid)
        self._leaders.clear()
        self._end_left_behind()
        for payload in self._requests.values():
            _store_log(payload)


def _prepare(payload: bytes) -> None:
    """Do once what the attempts inherit: look at what is installed, and load the store's client.

    No request is made to the store: what is forked after one would hang.
    """
    told = json.loads(payload)
    for imports, requirements in told["packages"]:
        environment.describe(imports, requirements)
    with suppress(store.StoreError):  # an attempt will meet it again, and tell it
        store.open_store(told["store"]).preload()


def _store_log(payload: bytes) -> None:
    """Store what a killed attempt has printed, where its store is not on this machine.

    Nobody else does: the engine is gone. This process forks no more, so that it may use a bucket.
    """
    attempt, _ = handover.read(payload)
    if not attempt.spool:
        return
    from levada.log_upload import store_whole

    with suppress(ChildProcessError):  # none may be about to send a part
        while True:
            os.wait()
    with suppress(store.StoreError):  # the parts stay
        store_whole(store.open_store(attempt.store), attempt.folder, attempt.spool)


def run_attempt(payload: bytes, start: str) -> int:
    """Run an attempt in this process; gives the exit code."""
    attempt, looked_up = handover.read(payload)
    return handover.run(attempt, looked_up, start)


def _report_fault() -> None:
    import traceback

    traceback.print_exc()


def _offer_memory() -> None:
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return
    try:
        os.write(fd, _OOM_SCORE)
    except OSError:
        pass
    finally:
        os.close(fd)


def main() -> None:
    """Serve the engine on the other end of standard input."""
    engine = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    # The engine's standard output is for its answer; nothing of a step may end up there.
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    if os.getpid() != os.getpgrp():
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    processes.adopt_orphans()
    # What is there now stays: a collection in an attempt must not touch, and so copy, its pages.
    gc.collect()
    gc.freeze()
    Server(engine).serve()


if __name__ == "__main__":
    main()
