"""How attempts ended: by the records that their pods left, or that are written for them."""

from __future__ import annotations

import time

from levada import records
from levada.engine.lost import record_lost
from levada.failures import without_traceback
from levada.store import StoreError

from . import environments, jobs, pods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.driver.driver_types import PodMessage
    from levada.engine.run_context import RunContext
    from levada.record_types import Record, RecordEnd

    from .jobs import Key
    from .requests import Requests
    from .running import JobOf, Running

#: Seconds in which a record has to be seen in the store, once its pod has ended well.
_STORE_PATIENCE = 90.0


class Results:
    """Knows the records of attempts that are over and that no one has taken yet."""

    def __init__(self, context: RunContext, requests: Requests) -> None:
        self._context = context
        self._requests = requests
        self._records: dict[Key, Record | RecordEnd] = {}

    def __contains__(self, key: Key) -> bool:
        """Whether it is known how the attempt ended."""
        return key in self._records

    def open(self, job: JobOf) -> list[Running]:
        """The attempts of a Job of which no end is known."""
        return [each for each in job.members.values() if each.key not in self]

    def finished(self, key: Key) -> str:
        """When the attempt was over."""
        return str(self._records[key].get("finished"))

    def is_over(self, running: Running) -> bool:
        """Whether it has ended; if so, its record is in the store and known here."""
        if running.key in self:
            return True
        said: PodMessage = pods.message(running.pod) if running.pod is not None else {}
        if "record" in said:
            self._records[running.key] = said["record"]
            self._learn(running)
            return True
        if "path" in said:
            return self.has_record(running)
        ended = "" if running.state is None else jobs.ended(running.state, running.place)
        if not ended:
            return False
        if self.has_record(running):
            self._learn(running)
            return True
        return self._is_lost(running, is_complete=ended == "Complete")

    def has_record(self, running: Running) -> bool:
        """Whether there is a record of it in the store, which is then known here."""
        record = self._context.record(running.attempt)
        if record is not None:
            self._records[running.key] = record
        return record is not None

    def take(self, running: Running) -> Record | RecordEnd:
        """The record of an attempt that is over. Raises StoreError if it cannot be read."""
        record = self._records.pop(running.key, None)
        if record is None or record.get("status") != records.SUCCEEDED:
            return self._read(running)  # with all that the error says
        return record

    def write_lost(self, running: Running, lost: pods.Lost) -> None:
        """Write the record of one that has left none."""
        request = self._requests.of(running.attempt)
        image = self._requests.image(request.node)
        described = environments.known(self._context.store, image, request)
        request.environment = described or environments.unknown(image)
        self._records[running.key] = record_lost(
            request,
            self._context.store,
            looked_up=running.looked_up,
            status=lost.status,
            end=lost.end,
            started=running.started,
            message=lost.message,
        )

    def refuse(self, running: Running, message: str) -> None:
        """Write the record of one that cannot be run: the same would happen again."""
        from levada.attempt import Attempt

        request = self._requests.of(running.attempt)
        request.environment = {**environments.unknown(self._requests.image(request.node))}
        attempt = Attempt(request, self._context.store)
        attempt.started, attempt.looked_up = running.started, running.looked_up
        attempt.error = without_traceback("NotStarted", message, "error", permanent=True)
        self._records[running.key] = attempt.write(records.FAILED)

    def _is_lost(self, running: Running, *, is_complete: bool) -> bool:
        """Whether one that is over has left nothing: a store may take a while to show it."""
        if is_complete:
            running.ended = running.ended or time.monotonic()
            if time.monotonic() < running.ended + _STORE_PATIENCE:
                return False
        job = running.state or {}
        self.write_lost(running, pods.lost(running.pod, job, jobs.memory_limit(job)))
        return True

    def _learn(self, running: Running) -> None:
        """Keep what the image has: the next run can look up the cache before it makes a pod."""
        store, request = self._context.store, self._requests.of(running.attempt)
        image = self._requests.image(request.node)
        if environments.is_wanted(store, image, request):
            record = self._context.record(running.attempt)
            if record is not None and record["status"] == records.SUCCEEDED:
                environments.keep(store, image, request, record["environment"])

    def _read(self, running: Running) -> Record:
        until = time.monotonic() + _STORE_PATIENCE
        while (record := self._context.record(running.attempt)) is None:
            if time.monotonic() > until:
                path = self._context.record_path(running.attempt)
                raise StoreError(f"{path} is in the journal of the run, but cannot be read")
            time.sleep(0.2)
        return record
