"""Runs attempts on this machine, each in a container of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada import cache, handover, records
from levada.engine import Attempt, Ended, Executor, Executors
from levada.engine.lost import record_lost
from levada.request import StepRequest
from levada.runner import record_hit

from levada_backends.images.image import ImageError

from . import container

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from levada.engine.local import RunContext

    from .container import StepImage
    from .containers import ContainerEngine
    from .provision import StepImages

#: Seconds that a step has to end after SIGTERM before its container is killed.
GRACE = 10.0
#: Seconds between two looks at the logs of what runs.
_LOG_INTERVAL = 0.1
#: Seconds after its own timeout at which an attempt that has not ended itself is killed: its
#: Python starts only after its container has.
_TIMEOUT_MARGIN = 5.0


class DockerExecutors(Executors):
    """Makes the executor of a run. ``folders`` of the host are mounted where they are there."""

    name = "docker"

    def __init__(
        self, engine: ContainerEngine, images: StepImages, folders: Sequence[str] = ()
    ) -> None:
        self._engine = engine
        self._images = images
        self._folders = folders

    def __call__(
        self, context: RunContext, on_log: Callable[[Attempt, str], None] | None
    ) -> DockerExecutor:
        """Make it. Raises ImageError if no container could reach the store."""
        return DockerExecutor(context, on_log, self._engine, self._images, self._folders)


class _Running:
    """An attempt whose container runs. Times are of the monotonic clock."""

    def __init__(self, attempt: Attempt, log: str | None) -> None:
        self.attempt = attempt
        self.log = log
        self.looked_up: cache.Lookup | None = None
        self.offset = 0
        self.started = time.time_ns()
        self.deadline: float | None = None
        #: why it is ended from outside: "timeout", "cancelled" or nothing
        self.end = ""
        self.container = ""
        self.image: StepImage | None = None
        #: what went wrong around the step
        self.problem = ""
        self.status = 0  # as of waitpid
        #: held while the container is created, and to decide that none is to be
        self.lock = threading.Lock()


class DockerExecutor(Executor):
    """Runs attempts in containers. ``on_log`` is given what running attempts print."""

    def __init__(
        self,
        context: RunContext,
        on_log: Callable[[Attempt, str], None] | None,
        engine: ContainerEngine,
        images: StepImages,
        folders: Sequence[str],
    ) -> None:
        self._context = context
        self._on_log = on_log
        self._engine = engine
        self._images = images
        self._store = _local_folder(context)
        self._folders = [self._store, *folders]
        self._user = "0:0" if engine.is_rootless() else f"{os.getuid()}:{os.getgid()}"
        self._running: list[_Running] = []
        self._threads: list[threading.Thread] = []
        self._over: queue.SimpleQueue[_Running] = queue.SimpleQueue()
        self._looked_up: dict[Attempt, cache.Lookup] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)

    def wake(self) -> None:
        """Have :meth:`poll` return soon; may be called from a signal handler or a thread."""
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            return

    # ---------------------------------------------------------------- the executor

    def lookup(self, attempt: Attempt) -> Ended | None:
        """The end of the attempt as a hit of the cache, with its record written.

        The versions that count are those in the image.
        """
        if not self._context.use_cache or attempt.settings.get("cache") is False:
            return None
        try:
            request = self._request(attempt, self._image(attempt))
        except ImageError:  # starting it will meet it again, and tell it
            return None
        looked_up = cache.lookup(request, self._context.store)
        if not looked_up.hit:
            self._looked_up[attempt] = looked_up
            return None
        record = record_hit(request, looked_up, self._context.store)
        return Ended(attempt, record, self._record_path(attempt))

    def start(self, attempt: Attempt) -> None:
        """Start a container for the attempt."""
        folder = self._context.attempt_folder(attempt)
        running = _Running(attempt, self._context.store.log_path(f"{folder}/log"))
        running.looked_up = self._looked_up.pop(attempt, None)
        self._running.append(running)
        thread = threading.Thread(target=self._attend, args=(running,), daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def poll(self, timeout: float | None) -> list[Ended]:
        """Wait for ends, deadlines and wake-ups."""
        ready, _, _ = select.select([self._wake_read], [], [], self._wait_seconds(timeout))
        if ready:
            os.read(self._wake_read, 4096)
        ended = []
        while not self._over.empty():
            ended.append(self._end(self._over.get()))
        for running in self._running:
            self._read_log(running, last=False)
        self._pass_deadlines()
        self._signal_again()
        return ended

    def cancel(self, attempt: Attempt, *, force: bool) -> None:
        """SIGTERM, and the end of the container after a grace period or with ``force``."""
        for running in self._running:
            if running.attempt is attempt:
                with running.lock:
                    running.end = "cancelled"
                running.deadline = time.monotonic() + (0 if force else GRACE)
                if not force:
                    self._kill(running, "TERM")
        self.wake()

    def close(self) -> None:
        """End and remove all containers."""
        for running in self._running:
            with running.lock:
                running.end = running.end or "cancelled"
            self._kill(running, "KILL")
        for thread in self._threads:
            thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ---------------------------------------------------------------- one container

    def _attend(self, running: _Running) -> None:
        """From the container's creation to its removal; in a thread of its own."""
        name = f"levada-{uuid.uuid4().hex[:16]}"
        try:
            self._run(running, name)
        except (ImageError, OSError) as error:
            running.problem = str(error)
        finally:
            self._clean_up(running, name)
            self._over.put(running)
            self.wake()

    def _run(self, running: _Running, name: str) -> None:
        image = running.image = self._image(running.attempt)
        settings = self._settings(running, image)
        with running.lock:
            if running.end:
                return
            running.container = self._engine.create(name, settings)
            self._engine.start(running.container)
        timeout = running.attempt.settings.get("timeout")
        if timeout is not None and running.deadline is None:
            running.deadline = time.monotonic() + timeout + _TIMEOUT_MARGIN
        self.wake()
        code = self._engine.wait(running.container)
        # As a shell has it: over 128 it is a signal that ended it.
        running.status = code - 128 if code > 128 else code << 8
        if code and self._engine.was_out_of_memory(running.container):
            running.problem = _out_of_memory(running.attempt)
        elif code and not Path(running.log or "").is_file():
            _, said = self._engine.output(running.container)
            if lines := said.splitlines():
                running.problem = f"the step could not be started in {image.reference}: {lines[-1]}"

    def _settings(self, running: _Running, image: StepImage) -> dict[str, Any]:
        attempt = running.attempt
        request = self._context.request(attempt)
        project = self._context.project
        request["project"] = image.project
        roots = [os.path.relpath(folder, project) for folder in self._context.search]
        request["step"]["source_roots"] = roots
        content = handover.content(request, running.looked_up)
        path = self._request_file(attempt)
        path.write_text(json.dumps(content), encoding="utf-8")
        return container.running(
            image,
            request=str(path),
            user=self._user,
            folders=self._folders,
            settings=attempt.settings,
            labels={"dev.levada.run": self._context.run_id, "dev.levada.node": attempt.node},
        )

    def _clean_up(self, running: _Running, name: str) -> None:
        try:
            self._engine.remove(name)
        except ImageError as error:
            running.problem = running.problem or str(error)
        with contextlib.suppress(OSError):
            self._request_file(running.attempt).unlink()

    def _kill(self, running: _Running, signal: str) -> None:
        if not running.container:
            return
        try:
            self._engine.kill(running.container, signal)
        except ImageError:  # who waits for the container will hear of it
            return

    def _end(self, running: _Running) -> Ended:
        """The end of a container: the step's record, or one that says how it was lost."""
        self._running.remove(running)
        self._read_log(running, last=True)
        path = self._record_path(running.attempt)
        record = records.read_document(self._context.store, path)
        if record is None:
            record = record_lost(
                self._request(running.attempt, running.image),
                self._context.store,
                looked_up=running.looked_up,
                status=running.status,
                end=running.end,
                started=running.started,
                message=running.problem,
            )
        return Ended(running.attempt, record, path)

    # ---------------------------------------------------------------- what an attempt is

    def _image(self, attempt: Attempt) -> StepImage:
        key = f"{attempt.step['module']}:{attempt.step['function']}"
        return self._images.of(key, attempt.settings)

    def _request(self, attempt: Attempt, image: StepImage | None) -> StepRequest:
        """The request with the environment of the image, as far as that is known."""
        request = StepRequest.from_json(self._context.request(attempt))
        if image is not None:
            imports, requirements = cache.packages_of(request)
            try:
                request.environment = self._images.environment(image, imports, requirements)
            except ImageError:
                return request
        return request

    def _request_file(self, attempt: Attempt) -> Path:
        """Where a container reads what it is to do: in the attempt's folder, made by this."""
        path = f"{self._context.attempt_folder(attempt)}/request.json"
        return Path(self._context.store.log_path(path) or "")

    def _record_path(self, attempt: Attempt) -> str:
        return f"{self._context.attempt_folder(attempt)}/record.json"

    # ---------------------------------------------------------------- time and logs

    def _wait_seconds(self, timeout: float | None) -> float | None:
        """Seconds until something is due; None if nothing is."""
        due = [] if timeout is None else [timeout]
        now = time.monotonic()
        due += [max(0.0, r.deadline - now) for r in self._running if r.deadline is not None]
        if self._running and (self._on_log or any(running.end for running in self._running)):
            due.append(_LOG_INTERVAL)
        return min(due, default=None)

    def _pass_deadlines(self) -> None:
        now = time.monotonic()
        for running in self._running:
            if running.deadline is not None and running.deadline <= now:
                running.deadline = None
                with running.lock:
                    running.end = running.end or "timeout"
                self._kill(running, "KILL")

    def _signal_again(self) -> None:
        """SIGTERM once more for those that had no handler yet: a first process ignores it then.

        An attempt that has a log has its handlers.
        """
        for running in self._running:
            if running.end == "cancelled" and not Path(running.log or "").exists():
                self._kill(running, "TERM")

    def _read_log(self, running: _Running, *, last: bool) -> None:
        """Pass on what was printed since the last look: whole lines, but for the last."""
        if self._on_log is None or running.log is None:
            return
        try:
            with Path(running.log).open("rb") as file:
                file.seek(running.offset)
                data = file.read()
        except OSError:
            return
        if not last:
            data = data[: data.rfind(b"\n") + 1]
        running.offset += len(data)
        if data:
            self._on_log(running.attempt, data.decode("utf-8", "replace"))


def _local_folder(context: RunContext) -> str:
    path = context.store.log_path("runs")
    if path is None:
        raise ImageError(
            f"containers cannot reach the store {context.store.url}",
            "use a folder of this machine: --store PATH",
        )
    return str(Path(path).parent)


def _out_of_memory(attempt: Attempt) -> str:
    limit = (attempt.settings.get("resources") or {}).get("memory")
    of = f"its limit of {limit} (resources.memory)" if limit else "what the machine has"
    return f"the step's container was ended by SIGKILL: it used more memory than {of}"
