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
    from levada.code import Code, Preload
    from levada.plan_types import PlanStep

    from .executor import Attempt, Ended
    from .run_context import RunContext

#: Seconds after its own timeout at which an attempt that has not ended itself is killed.
_TIMEOUT_MARGIN = 0.5
#: Servers with distributions loaded, each of which holds them in memory.
_MOST_SERVERS = 4


class _Process(Running):
    """An attempt whose process runs, or is about to: the ``number`` that its server knows it by."""

    __slots__ = ("has_started", "number", "server")

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
        self.has_started = False

    def terminate(self) -> None:
        """Have the server send it SIGTERM."""
        self.server.tell(f"signal {self.number} 15\n".encode())

    def kill(self) -> None:
        """Have the server end it, with all that it started."""
        if self.server.is_ready:
            self.server.tell(f"kill {self.number}\n".encode())
        else:  # its server is busy with an import
            self.server.kill()


class LocalExecutor(MachineExecutor):
    """Forks attempts through servers: a bare one, and one for each set of distributions."""

    def __init__(
        self, context: RunContext, on_log: Callable[[Attempt, str], None] | None = None
    ) -> None:
        super().__init__(context, on_log)
        self._read_at = time.time_ns()  #: when the code of the steps was read, or just after
        self._bare: ServerClient | None = None
        self._preloads = Preloads(context)
        #: by what they preload, the last used last; None where nothing can be forked from it
        self._preloaded: dict[tuple[Preload, ...], ServerClient | None] = {}
        self._count = 0
        self._running: dict[str, _Process] = {}

    # ---------------------------------------------------------------- the executor

    def start(self, attempt: Attempt) -> None:
        """Have a process forked for the attempt."""
        self._count += 1
        number = str(self._count)
        log = self._context.log_file(attempt)
        looked_up = self._looked_up.pop(attempt, None)
        self._start(_Process(attempt, log, looked_up, self._server_for(attempt), number))

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
        for server in self._servers():
            self._discard(server)
        self._wake_up.close()

    def _cache_request(self, attempt: Attempt) -> StepRequest | None:
        return with_image(self._request(attempt))

    def _request(self, attempt: Attempt) -> StepRequest:
        return StepRequest.from_json(self._context.request(attempt))

    def _all_running(self) -> Iterable[_Process]:
        return self._running.values()

    # ---------------------------------------------------------------- the server

    def _start(self, running: _Process) -> None:
        attempt, server = running.attempt, running.server
        self._running[running.number] = running
        if not server.is_ready:
            running.deadline = _deadline(attempt)
        request = self._context.request(attempt)
        request["step"]["read_at"] = self._read_at
        content = handover.content(request, running.looked_up)
        server.order("start", running.number, content)

    def _servers(self) -> list[ServerClient]:
        return [each for each in (self._bare, *self._preloaded.values()) if each is not None]

    def _server_for(self, attempt: Attempt) -> ServerClient:
        """Return the server that has loaded what the step's module imports first, or a bare one.

        A step with environment variables has a bare one: an import may look at them.
        """
        imports = () if attempt.settings.get("environment") else self._preloads.of(attempt.step)
        if imports in self._preloaded:
            server = self._preloaded[imports] = self._preloaded.pop(imports)
        elif imports and self._has_room():
            server = self._preloaded[imports] = self._prepared_server()
            server.preload([imports, self._context.search])
        else:
            server = None
        return server or self._bare_server()

    def _bare_server(self) -> ServerClient:
        if self._bare is None:
            self._bare = self._prepared_server()
        return self._bare

    def _has_room(self) -> bool:
        """Whether there may be one more server, after one that is idle is ended if need be."""
        servers = {key: each for key, each in self._preloaded.items() if each is not None}
        if len(servers) < _MOST_SERVERS:
            return True
        busy = [running.server for running in self._running.values()]
        for key, server in servers.items():
            if server not in busy:
                self._discard(server)
                del self._preloaded[key]
                return True
        return False

    def _prepared_server(self) -> ServerClient:
        server = ServerClient()
        context = self._context
        server.order("prepare", "0", {"packages": context.packages, "store": context.store.url})
        return server

    def _listen(self, timeout: float | None) -> list[Ended]:
        import select

        poll = select.poll()
        poll.register(self._wake_up, select.POLLIN)
        servers = self._servers()
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
        """A server is gone: what it had started is over, the rest starts from a bare one."""
        status = self._discard(server)
        lost = [running for running in self._running.values() if running.server is server]
        over = [running for running in lost if running.has_started or running.end]
        for running in lost:
            if running not in over:
                running.server, running.deadline = self._bare_server(), None
                self._start(running)
        return [self._end(running.number, status) for running in over]

    def _discard(self, server: ServerClient) -> int:
        if server is self._bare:
            self._bare = None
        for imports, other in self._preloaded.items():
            if other is server:
                self._preloaded[imports] = None
        return server.close()

    def _told(self, server: ServerClient, word: str, number: str, status: str = "") -> Ended | None:
        if word == "exit":
            return self._end(number, int(status))
        if word == "preloaded":
            server.is_ready = status == "1"  # else it ends, and is lost
            return None
        running = self._running[number]
        running.has_started = True
        if not running.end:
            running.deadline = _deadline(running.attempt)
        return None

    def _end(self, number: str, status: int) -> Ended:
        running = self._running.pop(number)
        return self._ended(running, self._request(running.attempt), status)


class Preloads:
    """What the modules of steps import of distributions before they do anything else."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._code: Code | None = None
        self._found: dict[str, tuple[Preload, ...]] = {}
        #: without it no module is read: that takes longer than a step that does little
        self._uses_distributions = any(imports for imports, _ in context.packages)

    def of(self, step: PlanStep) -> tuple[Preload, ...]:
        """Return it for a step of the plan: nothing where no step reaches a distribution."""
        if not self._uses_distributions:
            return ()
        module = step["module"]
        if module not in self._found:
            self._found[module] = tuple(self._read(module))
        return self._found[module]

    def _read(self, module: str) -> list[Preload]:
        if self._code is None:
            from levada.code import Code
            from levada.project import Project

            self._code = Code(Project(self._context.project, self._context.search))
        path = self._code.project.locate(module)
        try:
            return self._code.preloads(path) if path and path.endswith(".py") else []
        except (OSError, SyntaxError):  # the attempt says what is wrong
            return []


def _deadline(attempt: Attempt) -> float | None:
    """Return the time of the monotonic clock at which an attempt that starts now is killed."""
    timeout = attempt.settings.get("timeout")
    return None if timeout is None else time.monotonic() + timeout + _TIMEOUT_MARGIN
