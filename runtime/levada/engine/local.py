"""Runs attempts on this machine, each in a process of its own, forked by a server process."""

from __future__ import annotations

import time

from levada import handover
from levada.request import StepRequest

from .client import ServerClient
from .machine import GRACE, MachineExecutor, Running, with_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from levada import cache

    from .executor import Attempt, Ended
    from .run_context import RunContext

#: Seconds after its own timeout at which an attempt that has not ended itself is killed.
_TIMEOUT_MARGIN = 0.5


def _has_environment(attempt: Attempt) -> bool:
    """Whether it has variables that an import may look at."""
    return bool(attempt.settings.get("environment"))


class _Process(Running):
    """An attempt whose process runs: the ``number`` that its server knows it by."""

    __slots__ = ("number", "server")

    def __init__(
        self,
        attempt: Attempt,
        log: str | None,
        looked_up: cache.Lookup | None,
        server: ServerClient,
        number: str,
    ) -> None:
        super().__init__(attempt, log, looked_up)
        self.server = server
        self.number = number

    def terminate(self) -> None:
        """Have the server send it SIGTERM."""
        self.server.tell(f"signal {self.number} 15\n".encode())

    def kill(self) -> None:
        """Have the server end it, with all that it started."""
        self.server.tell(f"kill {self.number}\n".encode())


class LocalExecutor(MachineExecutor):
    """Forks attempts through a server."""

    def __init__(
        self, context: RunContext, on_log: Callable[[Attempt, str], None] | None = None
    ) -> None:
        super().__init__(context, on_log)
        self._bare: ServerClient | None = None
        self._warm: ServerClient | None = None
        self._count = 0
        self._running: dict[str, _Process] = {}

    # ---------------------------------------------------------------- the executor

    def start(self, attempt: Attempt) -> None:
        """Have a process forked for the attempt."""
        self._count += 1
        number = str(self._count)
        log = None if self._on_log is None else self._context.log_file(attempt)
        looked_up = self._looked_up.pop(attempt, None)
        server = self._server_for(attempt)
        self._running[number] = _Process(attempt, log, looked_up, server, number)
        server.order("start", number, handover.content(self._context.request(attempt), looked_up))

    def poll(self, timeout: float | None) -> list[Ended]:
        """Wait for ends, deadlines and wake-ups."""
        ended = self._listen(self._wait_seconds(timeout))
        self._follow_logs()
        self._pass_deadlines()
        return ended

    def cancel(self, attempt: Attempt, *, force: bool) -> None:
        """SIGTERM, and the end of the whole process tree after a grace period or with ``force``."""
        for running in self._running.values():
            if running.attempt is attempt:
                running.end = "cancelled"
                if force:
                    running.kill()
                else:
                    running.deadline = time.monotonic() + GRACE
                    running.terminate()

    def close(self) -> None:
        """End the server and with it all processes."""
        for server in (self._bare, self._warm):
            if server is not None:
                self._discard(server)
        self._wake_up.close()

    def _cache_request(self, attempt: Attempt) -> StepRequest | None:
        return with_image(self._request(attempt))

    def _request(self, attempt: Attempt) -> StepRequest:
        return StepRequest.from_json(self._context.request(attempt))

    def _all_running(self) -> Iterable[_Process]:
        return self._running.values()

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
        poll.register(self._wake_up, select.POLLIN)
        servers = [server for server in (self._bare, self._warm) if server is not None]
        for server in servers:
            poll.register(server, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000 + 1)}
        if self._wake_up.fileno() in ready:
            self._wake_up.clear()
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
        running = self._running.pop(number)
        return self._ended(running, self._request(running.attempt), status)
