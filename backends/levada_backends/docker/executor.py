"""Runs attempts on this machine, each in a container of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada import cache, handover
from levada.engine import Attempt, Ended, Executors
from levada.engine.machine import GRACE, MachineExecutor, Running, with_image
from levada.engine.processes import kill_tree
from levada.request import StepRequest

from levada_backends.images.image import ImageError

from . import container
from .provision import NOT_OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from levada.engine.run_context import RunContext

    from .container import StepImage
    from .containers import ContainerEngine
    from .provision import StepImages

#: Seconds between two signals to an attempt that may have missed the first.
_SIGNAL_INTERVAL = 0.1
#: Seconds after its own timeout at which an attempt that has not ended itself is killed: its
#: Python starts only after its container has.
_TIMEOUT_MARGIN = 5.0


class DockerExecutors(Executors):
    """Makes the executor of a run.

    ``folders`` of the host are mounted where they are there. ``network`` is that of containers; by
    default it is the engine's own.
    """

    name = "docker"

    def __init__(
        self,
        engine: ContainerEngine,
        images: StepImages,
        folders: Sequence[str] = (),
        network: str | None = None,
    ) -> None:
        self._engine = engine
        self._images = images
        self._folders = folders
        self._network = network

    def __call__(
        self, context: RunContext, on_log: Callable[[Attempt, str], None] | None
    ) -> DockerExecutor:
        """Make it. Raises ImageError if no container could reach the store."""
        return DockerExecutor(
            context, on_log, self._engine, self._images, self._folders, self._network
        )


class _Container(Running):
    """An attempt whose container runs."""

    def __init__(
        self,
        attempt: Attempt,
        log: str | None,
        looked_up: cache.Lookup | None,
        engine: ContainerEngine,
    ) -> None:
        super().__init__(attempt, log, looked_up)
        self._engine = engine
        self.container = ""
        #: of a container step, which starts its container itself
        self.process: subprocess.Popen[bytes] | None = None
        self.image: StepImage | None = None
        #: what went wrong around the step
        self.problem = ""
        self.status = 0  # as of waitpid
        #: held while the container is created, and to decide that none is to be
        self.lock = threading.Lock()

    def kill(self) -> None:
        """End it at once, if it is there."""
        if self.process is not None:
            kill_tree(self.process.pid)
        self.signal("KILL")

    def signal(self, name: str) -> None:
        """Send its first process a signal, if it is there."""
        if self.process is not None and name == "TERM":
            self.process.terminate()
        if not self.container:
            return
        try:
            self._engine.kill(self.container, name)
        except ImageError:  # who waits for the container will hear of it
            return


class DockerExecutor(MachineExecutor):
    """Runs attempts in containers."""

    shares_files = False

    def __init__(
        self,
        context: RunContext,
        on_log: Callable[[Attempt, str], None] | None,
        engine: ContainerEngine,
        images: StepImages,
        folders: Sequence[str],
        network: str | None,
    ) -> None:
        super().__init__(context, on_log)
        self._engine = engine
        self._images = images
        self._network = network
        store = context.store.local_path("runs")
        shared = context.spool_folder() if store is None else str(Path(store).parent)
        self._folders = [shared, *folders]
        self._cores = engine.cores()
        self._user = "0:0" if engine.is_rootless() else f"{os.getuid()}:{os.getgid()}"
        self._running: list[_Container] = []
        self._threads: list[threading.Thread] = []
        self._over: queue.SimpleQueue[_Container] = queue.SimpleQueue()

    # ---------------------------------------------------------------- the executor

    def start(self, attempt: Attempt) -> None:
        """Start a container for the attempt."""
        looked_up = self._looked_up.pop(attempt, None)
        running = _Container(attempt, self._context.log_file(attempt), looked_up, self._engine)
        self._running.append(running)
        thread = threading.Thread(target=self._attend, args=(running,), daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def poll(self, timeout: float | None) -> list[Ended]:
        """Wait for ends, deadlines and wake-ups."""
        if any(running.end for running in self._running):
            timeout = _SIGNAL_INTERVAL if timeout is None else min(timeout, _SIGNAL_INTERVAL)
        ready, _, _ = select.select([self._wake_up], [], [], self._wait_seconds(timeout))
        if ready:
            self._wake_up.clear()
        ended = []
        while not self._over.empty():
            ended.append(self._end(self._over.get()))
        self._follow_logs()
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
                    running.signal("TERM")
        self.wake()

    def close(self) -> None:
        """End and remove all containers."""
        for running in self._running:
            with running.lock:
                running.end = running.end or "cancelled"
            running.kill()
        for thread in self._threads:
            thread.join()
        self._wake_up.close()

    def _cache_request(self, attempt: Attempt) -> StepRequest | None:
        """The versions that count are those in the image."""
        if "container" in attempt.step:
            return with_image(self._request(attempt, None))
        try:
            return self._request(attempt, self._image(attempt))
        except ImageError:  # starting it will meet it again, and tell it
            return None

    def _all_running(self) -> Iterable[_Container]:
        return self._running

    # ---------------------------------------------------------------- one container

    def _attend(self, running: _Container) -> None:
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

    def _run(self, running: _Container, name: str) -> None:
        if "container" in running.attempt.step:
            self._run_program(running)
            return
        image = running.image = self._image(running.attempt)
        settings = self._settings(running, image)
        with running.lock:
            if running.end:
                return
            running.container = self._engine.create(name, settings)
            self._start(running.container, image)
        self._set_deadline(running)
        code = self._engine.wait(running.container)
        # As a shell has it: over 128 it is a signal that ended it.
        running.status = code - 128 if code > 128 else code << 8
        if code and self._engine.was_out_of_memory(running.container):
            running.problem = _out_of_memory(running.attempt)
        elif code:
            running.problem = self._problem(running, image)

    def _problem(self, running: _Container, image: StepImage) -> str:
        """What a container that failed says of why it has left no record; nothing if it has."""
        _, said = self._engine.output(running.container)
        last = (said.splitlines() or [""])[-1]
        if last.startswith(handover.SAID):
            return last.removeprefix(handover.SAID)
        if last and not Path(running.log or "").is_file():
            return f"the step could not be started in {image.reference}: {last}"
        return ""

    def _start(self, container_id: str, image: StepImage) -> None:
        try:
            self._engine.start(container_id)
        except ImageError as error:
            if image.is_own and "python" in error.message:
                raise ImageError(f"{error.message}; {NOT_OURS}") from error
            raise

    def _run_program(self, running: _Container) -> None:
        """Run a container step: a process of this machine has the container, and its files."""
        path = self._request_file(running.attempt)
        request = self._context.request(running.attempt)
        path.write_text(json.dumps(handover.content(request, running.looked_up)), encoding="utf-8")
        command = [sys.executable, "-m", "levada.contained", "run", str(path)]
        with running.lock:
            if running.end:
                return
            running.process = subprocess.Popen(command, env=self._variables())
        self._set_deadline(running)
        code = running.process.wait()
        running.status = -code if code < 0 else code - 128 if code > 128 else code << 8

    def _variables(self) -> dict[str, str]:
        return os.environ | {"DOCKER_HOST": self._engine.host}

    def _set_deadline(self, running: _Container) -> None:
        timeout = running.attempt.settings.get("timeout")
        if timeout is not None and running.deadline is None:
            running.deadline = time.monotonic() + timeout + _TIMEOUT_MARGIN
        self.wake()

    def _settings(self, running: _Container, image: StepImage) -> dict[str, Any]:
        attempt = running.attempt
        request = self._context.request(attempt)
        project = self._context.project
        request["project"] = "."  # the image's working directory
        roots = [os.path.relpath(folder, project) for folder in self._context.search]
        request["step"]["source_roots"] = roots
        warning = container.too_many_cores(attempt.settings, self._cores)
        request["warnings"] = [warning] if warning else []
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
            cores=self._cores,
            store=self._context.store.url,
            network=self._network,
        )

    def _clean_up(self, running: _Container, name: str) -> None:
        try:
            self._engine.remove(name)
        except ImageError as error:
            running.problem = running.problem or str(error)
        with contextlib.suppress(OSError):
            self._request_file(running.attempt).unlink()

    def _end(self, running: _Container) -> Ended:
        self._running.remove(running)
        request = self._request(running.attempt, running.image)
        return self._ended(running, request, running.status, running.problem)

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
        """Where a container reads what it is to do: beside its log, in a folder made by this."""
        return Path(self._context.local_folder(attempt), "request.json")

    def _signal_again(self) -> None:
        """SIGTERM once more for those that had no handler yet: a first process ignores it then.

        An attempt that has a log has its handlers.
        """
        for running in self._running:
            if running.end == "cancelled" and not Path(running.log or "").exists():
                running.signal("TERM")


def _out_of_memory(attempt: Attempt) -> str:
    limit = (attempt.settings.get("resources") or {}).get("memory")
    of = f"its limit of {limit} (resources.memory)" if limit else "what the machine has"
    return f"the step's container was ended by SIGKILL: it used more memory than {of}"
