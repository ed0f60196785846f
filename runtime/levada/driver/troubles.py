"""What keeps attempts from starting: noticed, told to people, and in the end given up on."""

from __future__ import annotations

import sys
import time

from . import jobs, pods
from .api import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from levada.driver.driver_types import DriverDocument, KubernetesObject

    from .api import Api
    from .jobs import Key
    from .results import Results
    from .running import JobOf, Running

#: Seconds between two looks at what makes no progress.
LOOK = 5.0


class Troubles:
    """Looks at Jobs whose pods do not start; ``waiting`` says of their attempts why, for people.

    ``driver`` has the seconds after which one is given up, by the kind of trouble; ``suspend`` ends
    a Job's pods and says whether it could.
    """

    def __init__(
        self, api: Api, driver: DriverDocument, results: Results, suspend: Callable[[JobOf], bool]
    ) -> None:
        self.waiting: dict[Key, str] = {}
        self._api = api
        self._driver = driver
        self._results = results
        self._suspend = suspend
        self._interval = float(min(LOOK, driver["stuck_after"] / 4))
        self._looked_at = 0.0

    def look(self, all_jobs: Iterable[JobOf]) -> None:
        """Look at the Jobs, if it is time to."""
        now = time.monotonic()
        if now < self._looked_at + self._interval:
            return
        self._looked_at = now
        looked_at = [job for job in all_jobs if job.created and not job.is_suspended]
        events = self._failed_creations() if any(map(self._is_lacking, looked_at)) else {}
        for job in looked_at:
            self._look_at(job, events)

    def meet(self, job: JobOf, trouble: pods.Trouble) -> None:
        """None of the Job's attempts can start because of this."""
        for running in self._results.open(job):
            self._meet(running, trouble)
        self._give_up(job)

    def settle(self, running: Running) -> None:
        """Nothing keeps it any more."""
        running.trouble, running.said = None, ""
        self.waiting.pop(running.key, None)

    def _is_lacking(self, job: JobOf) -> bool:
        """Whether a Job should have pods by now, and has none: nothing but its events says why."""
        state, since = job.state or {}, time.monotonic() - self._interval
        return not (jobs.is_finished(state) or jobs.has_pods(state)) and any(
            one.pod is None and one.waits_since < since for one in self._results.open(job)
        )

    def _look_at(self, job: JobOf, events: dict[str, KubernetesObject]) -> None:
        event = events.get((job.state or {}).get("metadata", {}).get("uid", ""))
        missing = None
        if event is not None and self._is_lacking(job):
            message = str(event.get("message") or "")
            kind = "unschedulable" if "exceeded quota" in message else "stuck"
            missing = pods.Trouble(kind, "FailedCreate", message)
        for one in self._results.open(job):
            found = missing if one.pod is None else pods.trouble(one.pod)
            if found is None:
                self.settle(one)
            else:
                self._meet(one, found)
        self._give_up(job)

    def _failed_creations(self) -> dict[str, KubernetesObject]:
        """The last event of each Job of the namespace that has failed to make a pod, by its uid."""
        selector = "involvedObject.kind=Job,reason=FailedCreate"
        try:
            pages = list(self._api.pages("events", fieldSelector=selector))
        except ApiError:
            return {}
        events = sorted((event for page, _ in pages for event in page), key=_last_time)
        return {event["involvedObject"]["uid"]: event for event in events}

    def _meet(self, running: Running, trouble: pods.Trouble) -> None:
        """Something keeps it from starting: say so once."""
        if running.trouble is None or running.trouble.kind != trouble.kind:
            running.since = time.monotonic()
        running.trouble = trouble
        self.waiting[running.key] = f"{running.key[0]}: {trouble}"
        if running.said != trouble.reason:
            running.said = trouble.reason
            say(f"{running.name} is waiting: {trouble}")

    def _give_up(self, job: JobOf) -> None:
        """End a Job whose start takes too long.

        One of several goes on while any of them runs: suspending it would end that as well.
        """
        running = self._results.open(job)
        if not any(map(self._is_overdue, running)) or not all(one.trouble for one in running):
            return
        if job.created and not self._suspend(job):
            return
        for one in running:
            message = f"it could not start within {self._patience(one):g} s: {one.trouble}"
            self._results.refuse(one, message)

    def _is_overdue(self, running: Running) -> bool:
        is_held = running.trouble is not None
        return is_held and time.monotonic() - running.since >= self._patience(running)

    def _patience(self, running: Running) -> float:
        if running.trouble is None or running.trouble.kind == "stuck":
            return float(self._driver["stuck_after"])
        return float(self._driver["unschedulable_after"])


def say(text: str) -> None:
    """Tell whoever reads the driver's log."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _last_time(event: KubernetesObject) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
