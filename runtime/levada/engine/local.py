"""Runs attempts on this machine, each in a process of its own, forked by a server process."""

from __future__ import annotations

import os
import time

from levada import cache, handover, records
from levada.request import StepRequest
from levada.runner import record_hit

from .client import ServerClient
from .executor import Attempt, Ended, Executor
from .lost import record_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from levada.store import Store

#: Seconds that a process has to end after SIGTERM before it is killed.
GRACE = 10.0
#: Seconds between two looks at the logs of what runs.
_LOG_INTERVAL = 0.1
#: Seconds after its own timeout at which an attempt that has not ended itself is killed.
_TIMEOUT_MARGIN = 0.5


class RunContext:
    """What all attempts of a run have in common.

    ``project`` is the absolute path of the project's root, ``parameters`` are trees, ``git``
    is the git part of its records, ``packages`` the imports and the requirements of each
    step, ``use_cache`` is False where every step must run.
    """

    __slots__ = (
        "engine",
        "git",
        "modules",
        "packages",
        "parameters",
        "pipeline",
        "project",
        "run_id",
        "search",
        "store",
        "use_cache",
    )

    def __init__(
        self,
        *,
        pipeline: str,
        run_id: str,
        parameters: dict[str, Any],
        project: str,
        search: list[str],
        store: Store,
        engine: dict[str, Any],
        git: dict[str, Any] | None,
        packages: list[tuple[list[str], list[str]]],
        use_cache: bool,
    ) -> None:
        self.pipeline = pipeline
        self.run_id = run_id
        self.parameters = parameters
        self.project = project
        self.search = search  # the folders that modules are imported from
        self.store = store
        self.engine = engine
        self.git = git
        self.packages = packages
        #: what a server may load once: the modules of the steps
        self.modules: list[str] = []
        self.use_cache = use_cache

    @property
    def folder(self) -> str:
        """The run's folder in the store."""
        return records.run_path(self.pipeline, self.run_id)

    def attempt_folder(self, attempt: Attempt) -> str:
        """An attempt's folder in the store."""
        return records.attempt_path(
            self.pipeline, self.run_id, attempt.node, attempt.map_index, attempt.number
        )

    def request(self, attempt: Attempt) -> dict[str, Any]:
        """What the step's process is asked to do, as JSON."""
        plan = attempt.step
        settings = attempt.settings
        if not self.use_cache:
            settings = settings | {"cache": False}
        return {
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            "node": attempt.node,
            "map_index": list(attempt.map_index) or None,
            "attempt": attempt.number,
            "step": {
                "module": plan["module"],
                "function": plan["function"],
                "source_roots": self.search,
                "code": plan["code"],
                "imports": plan["imports"],
                "outputs": plan["outputs"],
                "file": plan.get("file"),
                "line": plan.get("line"),
                "settings": settings,
            },
            "inputs": attempt.inputs,
            "sources": attempt.sources,
            "parameters": self.parameters,
            "store": self.store.url,
            "engine": self.engine,
            "git": self.git,
            "project": self.project,
        }


def _has_environment(attempt: Attempt) -> bool:
    """Whether it has variables that an import may look at."""
    return bool(attempt.settings.get("environment"))


class _Running:
    """An attempt whose process runs. Times are of the monotonic clock."""

    __slots__ = ("attempt", "deadline", "end", "log", "looked_up", "offset", "server", "started")

    def __init__(
        self,
        attempt: Attempt,
        server: ServerClient,
        log: str | None,
        looked_up: cache.Lookup | None,
    ) -> None:
        self.attempt = attempt
        self.server = server
        self.log = log
        self.looked_up = looked_up
        self.offset = 0
        self.started = time.time_ns()
        self.deadline: float | None = None
        #: why it is ended from outside: "timeout", "cancelled" or nothing
        self.end = ""


class LocalExecutor(Executor):
    """Forks attempts through a server. ``on_log`` is given what running attempts print."""

    def __init__(
        self, context: RunContext, on_log: Callable[[Attempt, str], None] | None = None
    ) -> None:
        self._context = context
        self._on_log = on_log
        self._bare: ServerClient | None = None
        self._warm: ServerClient | None = None
        self._count = 0
        self._running: dict[str, _Running] = {}
        self._looked_up: dict[Attempt, cache.Lookup] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)

    def wake(self) -> None:
        """Have :meth:`poll` return soon; may be called from a signal handler."""
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            return

    # ---------------------------------------------------------------- the executor

    def lookup(self, attempt: Attempt) -> Ended | None:
        """The end of the attempt as a hit of the cache, with its record written."""
        if not self._context.use_cache or attempt.settings.get("cache") is False:
            return None
        request = StepRequest.from_json(self._context.request(attempt))
        looked_up = cache.lookup(request, self._context.store)
        if not looked_up.hit:
            self._looked_up[attempt] = looked_up
            return None
        record = record_hit(request, looked_up, self._context.store)
        return Ended(attempt, record, self._record_path(attempt))

    def start(self, attempt: Attempt) -> None:
        """Have a process forked for the attempt."""
        self._count += 1
        number = str(self._count)
        log = None
        if self._on_log is not None:
            folder = self._context.attempt_folder(attempt)
            log = self._context.store.log_path(f"{folder}/log")
        looked_up = self._looked_up.pop(attempt, None)
        server = self._server_for(attempt)
        self._running[number] = _Running(attempt, server, log, looked_up)
        server.order("start", number, handover.content(self._context.request(attempt), looked_up))

    def poll(self, timeout: float | None) -> list[Ended]:
        """Wait for ends, deadlines and wake-ups."""
        ended = self._listen(self._wait_seconds(timeout))
        self._follow_logs()
        self._pass_deadlines()
        return ended

    def cancel(self, attempt: Attempt, *, force: bool) -> None:
        """SIGTERM, and the end of the whole process tree after a grace period or with ``force``."""
        for number, running in self._running.items():
            if running.attempt is attempt:
                running.end = "cancelled"
                if force:
                    running.server.tell(f"kill {number}\n".encode())
                else:
                    running.deadline = time.monotonic() + GRACE
                    running.server.tell(f"signal {number} 15\n".encode())

    def close(self) -> None:
        """End the server and with it all processes."""
        for server in (self._bare, self._warm):
            if server is not None:
                self._discard(server)
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ---------------------------------------------------------------- the server

    def _server_for(self, attempt: Attempt) -> ServerClient:
        """The server that has the modules loaded, if there is one by now, else the bare one."""
        if self._warm is not None and self._warm.ready and not _has_environment(attempt):
            return self._warm
        if self._bare is None:
            self._bare = self._prepared_server()
            self._warm_up()
        return self._bare

    def _prepared_server(self) -> ServerClient:
        server = ServerClient()
        server.order("prepare", "0", self._context.packages)
        return server

    def _warm_up(self) -> None:
        """Start a server that loads the pipeline's modules meanwhile."""
        if self._warm is None and self._context.modules:
            self._warm = self._prepared_server()
            self._warm.order("warm", "0", [self._context.modules, self._context.search])

    def _listen(self, timeout: float | None) -> list[Ended]:
        import select

        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        servers = [server for server in (self._bare, self._warm) if server is not None]
        for server in servers:
            poll.register(server, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000 + 1)}
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        heard = [self._hear(server) for server in servers if server.fileno() in ready]
        return [ended for part in heard for ended in part]

    def _hear(self, server: ServerClient) -> list[Ended]:
        lines = server.receive()
        if lines is None:
            return self._server_lost(server)
        told = [self._told(server, *words) for words in lines]
        return [ended for ended in told if ended is not None]

    def _server_lost(self, server: ServerClient) -> list[Ended]:
        """A server is gone, and with it what it had started."""
        status = self._discard(server)
        lost = [number for number, r in self._running.items() if r.server is server]
        return [self._end(number, status) for number in lost]

    def _discard(self, server: ServerClient) -> int:
        if server is self._warm:
            self._warm = None
            # It is not tried again in this run.
            self._context.modules = []
        else:
            self._bare = None
        return server.close(kill=not server.ready)

    def _told(self, server: ServerClient, word: str, number: str, status: str = "") -> Ended | None:
        if word == "exit":
            return self._end(number, int(status))
        if word == "warm":
            server.ready = status == "1"
            if not server.ready:
                self._discard(server)
            return None
        running = self._running[number]
        timeout = running.attempt.settings.get("timeout")
        if timeout is not None and running.deadline is None:
            running.deadline = time.monotonic() + timeout + _TIMEOUT_MARGIN
        return None

    def _end(self, number: str, status: int) -> Ended:
        """The end of a process: its record, or one that says how it was lost."""
        running = self._running.pop(number)
        self._read_log(running, last=True)
        path = self._record_path(running.attempt)
        record = records.read_document(self._context.store, path)
        if record is None:
            record = record_lost(
                StepRequest.from_json(self._context.request(running.attempt)),
                self._context.store,
                looked_up=running.looked_up,
                status=status,
                end=running.end,
                started=running.started,
            )
        return Ended(running.attempt, record, path)

    def _record_path(self, attempt: Attempt) -> str:
        return f"{self._context.attempt_folder(attempt)}/record.json"

    # ---------------------------------------------------------------- time and logs

    def _wait_seconds(self, timeout: float | None) -> float | None:
        """Seconds until something is due; None if nothing is."""
        due = [] if timeout is None else [timeout]
        now = time.monotonic()
        due += [max(0.0, r.deadline - now) for r in self._running.values() if r.deadline]
        if self._running and self._on_log is not None:
            due.append(_LOG_INTERVAL)
        return min(due, default=None)

    def _pass_deadlines(self) -> None:
        now = time.monotonic()
        for number, running in self._running.items():
            if running.deadline is not None and running.deadline <= now:
                running.deadline = None
                running.end = running.end or "timeout"
                running.server.tell(f"kill {number}\n".encode())

    def _follow_logs(self) -> None:
        for running in self._running.values():
            self._read_log(running, last=False)

    def _read_log(self, running: _Running, *, last: bool) -> None:
        """Pass on what was printed since the last look: whole lines, but for the last."""
        if self._on_log is None or running.log is None:
            return
        try:
            with open(running.log, "rb") as file:
                file.seek(running.offset)
                data = file.read()
        except OSError:
            return
        if not last:
            data = data[: data.rfind(b"\n") + 1]
        running.offset += len(data)
        if data:
            self._on_log(running.attempt, data.decode("utf-8", "replace"))
