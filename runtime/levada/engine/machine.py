"""What executors of this machine share: the cache, records, logs, deadlines and wake-ups."""

from __future__ import annotations

import os
import time

from levada import cache
from levada.runner import record_hit

from . import earlier
from .executor import Attempt, Ended, Executor
from .lost import record_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from levada.request import StepRequest

    from .run_context import RunContext

#: Seconds that a step has to end after SIGTERM before it is killed.
GRACE = 10.0
#: Seconds between two looks at the logs of what runs.
_LOG_INTERVAL = 0.1
#: Bytes of a log that are in memory at a time.
_PART = 1 << 20


def with_image(request: StepRequest) -> StepRequest | None:
    """The request of a container step with what is known of its image; of others as it is.

    None if the image is not here yet: its digest is part of the key, so the attempt itself asks
    the cache once it has pulled it.
    """
    if request.container is None:
        return request
    from levada import docker_program, programs

    image = request.settings["image"]
    digest = docker_program.known_digest(image)
    if digest is None:
        return None
    request.environment = {**programs.environment(image, digest)}
    return request


class Running:
    """An attempt that runs. Its deadline is of the monotonic clock."""

    __slots__ = ("attempt", "deadline", "end", "log", "looked_up", "offset", "started")

    def __init__(
        self, attempt: Attempt, log: str | None, looked_up: cache.Lookup | None = None
    ) -> None:
        self.attempt = attempt
        self.log = log
        self.looked_up = looked_up
        self.offset = 0
        self.started = time.time_ns()
        self.deadline: float | None = None
        #: why it is ended from outside: "timeout", "cancelled" or nothing
        self.end = ""

    def kill(self) -> None:
        """End it at once, whatever it does."""
        raise NotImplementedError

    def printed(self, *, last: bool) -> Iterator[str]:
        """Yield what was printed since the last look, in parts that bound the memory they take.

        A part is of whole lines, but for the last of all and for what is a line of its own size.
        """
        while data := self._read(last=last):
            self.offset += len(data)
            yield data.decode("utf-8", "replace")

    def _read(self, *, last: bool) -> bytes:
        if self.log is None:
            return b""
        try:
            with open(self.log, "rb") as file:
                file.seek(self.offset)
                data = file.read(_PART)
        except OSError:
            return b""
        is_end = len(data) < _PART
        lines = data[: data.rfind(b"\n") + 1]
        if is_end:
            return data if last else lines
        return lines or data[: _last_character(data)]


def _last_character(data: bytes) -> int:
    """Return where the last character begins, which may go on after these bytes."""
    at = len(data) - 1
    while at > len(data) - 4 and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


class WakeUp:
    """Ends a wait for file descriptors from a signal handler or another thread."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)

    def fileno(self) -> int:
        """What to wait for."""
        return self._read

    def send(self) -> None:
        """End the wait, or the next one."""
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            return

    def clear(self) -> None:
        """Forget what was sent."""
        os.read(self._read, 4096)

    def close(self) -> None:
        """Free the descriptors."""
        os.close(self._read)
        os.close(self._write)


class MachineExecutor(Executor):
    """Runs attempts on this machine. ``on_log`` is given what running attempts print.

    ``shares_files``: attempts see the files and variables of this process.
    """

    shares_files = True

    def __init__(self, context: RunContext, on_log: Callable[[Attempt, str], None] | None) -> None:
        self._context = context
        self._on_log = on_log
        self._looked_up: dict[Attempt, cache.Lookup] = {}
        self._wake_up = WakeUp()

    def wake(self) -> None:
        """Have :meth:`poll` return soon; may be called from a signal handler or a thread."""
        self._wake_up.send()

    def lookup(self, attempt: Attempt) -> Ended | None:
        """The end of the attempt as a hit of an earlier run or the cache, its record written."""
        before = self._context.earlier
        if before is not None and before.is_anew(attempt.node, attempt.map_index):
            before = None
        is_cached = self._context.uses_cache(attempt) and attempt.settings.get("cache") is not False
        request = self._cache_request(attempt) if before is not None or is_cached else None
        if request is None:
            return None
        damage: list[str] = []
        if before is not None:
            taken = earlier.look_up(self._context.store, request, before.run_id)
            if taken is not None and taken.hit:
                return self._hit(attempt, request, taken)
            damage = taken.warnings if taken is not None else []
        if not is_cached:
            return None
        looked_up = cache.lookup(request, self._context.store, here=self.shares_files)
        if looked_up.is_open:  # the attempt itself looks
            return None
        looked_up.warnings = [*damage, *looked_up.warnings]
        if looked_up.hit:
            return self._hit(attempt, request, looked_up)
        self._looked_up[attempt] = looked_up
        return None

    def _hit(self, attempt: Attempt, request: StepRequest, found: cache.Lookup) -> Ended:
        record = record_hit(request, found, self._context.store)
        return Ended(attempt, record, self._context.record_path(attempt))

    # ---------------------------------------------------------------- what a kind of them says

    def _cache_request(self, attempt: Attempt) -> StepRequest | None:
        """The request by which the cache is asked; None if it cannot be told."""
        raise NotImplementedError

    def _all_running(self) -> Iterable[Running]:
        """The attempts that run."""
        raise NotImplementedError

    # ---------------------------------------------------------------- ends, time and logs

    def _ended(
        self, running: Running, request: StepRequest, status: int, message: str = ""
    ) -> Ended:
        """The end of what ran: its record, or one that says how it was lost."""
        self._pass_on_log(running, last=True)
        if running.end and request.container is not None:
            from levada import docker_program, programs

            docker_program.remove(programs.container_name(request))
        record = self._context.record(running.attempt)
        if record is None:
            self._context.store_log(running.attempt)
            record = record_lost(
                request,
                self._context.store,
                looked_up=running.looked_up,
                status=status,
                end=running.end,
                started=running.started,
                message=message,
            )
        return Ended(running.attempt, record, self._context.record_path(running.attempt))

    def _wait_seconds(self, timeout: float | None) -> float | None:
        """Seconds until something is due; None if nothing is."""
        due = [] if timeout is None else [timeout]
        now = time.monotonic()
        running = list(self._all_running())
        due += [max(0.0, r.deadline - now) for r in running if r.deadline is not None]
        if running and self._on_log is not None:
            due.append(_LOG_INTERVAL)
        return min(due, default=None)

    def _pass_deadlines(self) -> None:
        now = time.monotonic()
        for running in self._all_running():
            if running.deadline is not None and running.deadline <= now:
                running.deadline = None
                running.end = running.end or "timeout"
                running.kill()

    def _follow_logs(self) -> None:
        for running in self._all_running():
            self._pass_on_log(running, last=False)

    def _pass_on_log(self, running: Running, *, last: bool) -> None:
        if self._on_log is not None:
            for text in running.printed(last=last):
                self._on_log(running.attempt, text)
