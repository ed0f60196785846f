"""Runs attempts as Jobs: starts and ends them, and says when they are over, by the journal."""

from __future__ import annotations

import json
import os
import queue
import time

from levada.engine import Ended, Executor
from levada.runner import record_hit
from levada.store import StoreError

from . import jobs, pods, troubles
from .api import ApiError
from .ending import Ending
from .journal import Journal
from .requests import Requests
from .results import Results
from .running import JobOf, Running
from .troubles import Troubles
from .watcher import Change, Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from levada.cache import Lookup
    from levada.driver.driver_types import (
        DriverDocument,
        JournalEntry,
        KubernetesObject,
        NotedAttempt,
    )
    from levada.engine import Attempt
    from levada.engine.run_context import RunContext

    from .api import Api
    from .jobs import Key

#: Seconds that an attempt of a large fan-out waits for others to be started with it, and how many
#: there are in one Job at most.
_GATHER = 0.5
_MOST_TOGETHER = 1000


class JobExecutor(Executor):
    """Makes Jobs of attempts.

    ``owner`` is the driver's own Job, ``driver`` what the target says of the pipeline's Jobs
    (``levada.driver/1``), ``created`` when the run began (seconds since the epoch), ``retry_of``
    the run that this one tries again: what succeeded there is not run again.
    """

    def __init__(
        self,
        context: RunContext,
        api: Api,
        owner: KubernetesObject,
        driver: DriverDocument,
        created: float,
        retry_of: str | None = None,
    ) -> None:
        self._context = context
        self._api = api
        self._owner = owner
        self._driver = driver
        self._now = created
        self._ending = Ending(driver, created)
        self._journal = Journal(context.store, context.folder)
        self._running: dict[Key, Running] = {}
        self._jobs: dict[str, JobOf] = {}
        self._looked_up: dict[Attempt, Lookup] = {}
        self._requests = Requests(context, {**driver}, retry_of)
        self._results = Results(context, self._requests)
        self._troubles = Troubles(api, driver, self._results, self._suspend)
        self._changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._watchers: list[Watcher] = []
        #: why the run is cancelled, and whether by force, once; for who tells the interpreter
        self.cancellation: tuple[str, bool] | None = None
        #: called now and then, with whether there is nothing else to do
        self.on_look: Callable[[bool], None] | None = None

    @property
    def waiting(self) -> dict[Key, str]:
        """What keeps attempts from starting: for people."""
        return self._troubles.waiting

    def clock(self) -> float:
        """The time of the last entry of the journal: the same in every driver."""
        return self._now

    # ---------------------------------------------------------------- the executor

    def lookup(self, attempt: Attempt) -> Ended | None:
        """The end of the attempt as a hit of the cache, with its record written.

        What is found is part of the request, which is written once: all drivers go by it.
        """
        request, found = self._requests.looked_up(attempt)
        if found is None or not found.hit:
            if found is not None:
                self._looked_up[attempt] = found
            return None
        record = self._context.record(attempt)
        if record is None:
            record = record_hit(request, found, self._context.store)
        return Ended(attempt, record, self._context.record_path(attempt))

    def start(self, attempt: Attempt) -> None:
        """Have a Job made for the attempt, unless it has one or is over."""
        key = jobs.key_of(attempt)
        running = self._running[key] = Running(attempt, key, self._looked_up.pop(attempt, None))
        if not self._is_of_many(attempt):
            self._place_alone(running)

    def poll(self, timeout: float | None) -> list[Ended]:
        """Give the ends in the next entry of the journal; write it if there is none yet."""
        until = None if timeout is None else self._now + timeout
        entry = self._journal.read()
        if entry is None:
            entry = self._journal.propose(self._observe(until))
        self._now = max(self._now, entry["time"])
        self.cancellation = self._ending.take(entry)
        self._place_together(_keys(entry.get("start") or []))
        return [self._take(key) for key in _keys(entry.get("ended") or []) if key in self._running]

    def cancel(self, attempt: Attempt, *, force: bool) -> None:
        """End the attempt's pod, with the time that Kubernetes gives it, or without waiting."""
        running = self._running.get(jobs.key_of(attempt))
        if running is not None:
            running.cancelled, running.force = True, force

    def wake(self) -> None:
        """Have a look at everything."""
        self._changes.put(("wake", "", None))

    def close(self) -> None:
        """Stop watching; Jobs stay as they are."""
        for watcher in self._watchers:
            watcher.stop()

    # ---------------------------------------------------------------- which Job

    def _is_of_many(self, attempt: Attempt) -> bool:
        """Whether it may share an Indexed Job: all drivers of the run say the same.

        Kueue admits a Job as a whole, so that one of many may wait where a few could run.
        """
        labels = self._requests.template(attempt.node)["metadata"]["labels"]
        return attempt.siblings >= self._driver["indexed_from"] and jobs.QUEUE not in labels

    def _place_alone(self, running: Running) -> None:
        metadata = self._owner["metadata"]
        self._add(JobOf(jobs.name(metadata["name"], metadata["uid"], running.key), [running]))

    def _place_together(self, keys: list[Key]) -> None:
        """These get one Job: that is what the journal's last entry says."""
        members = [self._running[key] for key in keys if key in self._running]
        if len(members) != len(keys):
            raise StoreError(
                f"{self._journal.path(self._journal.number)} in the store names attempts that are"
                " not to be run; somebody changed it: start the run again"
            )
        if len(members) == 1:
            self._place_alone(members[0])
        elif members:
            metadata, entry = self._owner["metadata"], self._journal.number
            name = jobs.indexed_name(metadata["name"], metadata["uid"], keys[0][0], entry)
            self._add(JobOf(name, members, self._journal.path(entry)))

    def _add(self, job: JobOf) -> None:
        self._jobs[job.name] = job

    def _unplaced(self) -> list[Running]:
        return [one for one in self._running.values() if one.job is None and not one.cancelled]

    def _to_start(self) -> list[Key]:
        """Attempts of one node that are to get a Job now: what comes up meanwhile joins them."""
        waiting = self._unplaced()
        if not waiting:
            return []
        first = waiting[0]
        is_all = len(waiting) == len(self._running)
        if not is_all and time.monotonic() < first.waits_since + _GATHER:
            return []
        found = [one.key for one in waiting if one.key[0] == first.key[0]]
        return found[:_MOST_TOGETHER]

    # ---------------------------------------------------------------- what happens

    def _observe(self, until: float | None) -> JournalEntry:
        """Wait for something to note, and do meanwhile what Jobs need."""
        self._start_watching()
        while True:
            self._create_due()
            self._end_cancelled()
            self._troubles.look(self._jobs.values())
            entry = self._to_note(until)
            if self.on_look is not None:
                self.on_look(entry is None)
            if entry is not None:
                return entry
            self._take_changes(self._wait_seconds(until))

    def _to_note(self, until: float | None) -> JournalEntry | None:
        now = time.time()
        ended = [key for key, running in self._running.items() if self._results.is_over(running)]
        if ended:
            ended.sort(key=lambda key: (self._results.finished(key), key))
            return {"time": now, "ended": _noted(ended)}
        if (end := self._ending.to_note(now)) is not None:
            return end
        together = self._to_start()
        if together:
            return {"time": now, "start": _noted(together)}
        if until is not None and now >= until:
            return {"time": now}
        return None

    def _wait_seconds(self, until: float | None) -> float:
        now = time.monotonic()
        due = [job.due - now for job in self._jobs.values() if not job.created]
        due += [one.waits_since + _GATHER - now for one in self._unplaced()]
        due += [] if until is None else [until - time.time()]
        due += [] if self._ending.due is None else [self._ending.due - time.time()]
        return max(0.0, min([troubles.LOOK, *due]))

    def _start_watching(self) -> None:
        if self._watchers:
            return
        metadata = self._owner["metadata"]
        own = {"labelSelector": f"{jobs.RUN}={metadata['uid']}"}
        driver = {"fieldSelector": f"metadata.name={metadata['name']}"}
        for kind, selectors in (("jobs", own), ("pods", own), ("jobs", driver)):
            self._watchers.append(Watcher(self._api.sibling(), kind, selectors, self._changes))
            self._watchers[-1].start()

    def _take_changes(self, wait: float) -> None:
        try:
            self._take_change(*self._changes.get(timeout=wait))
            while True:
                self._take_change(*self._changes.get_nowait())
        except queue.Empty:
            return

    def _take_change(self, kind: str, name: str, thing: KubernetesObject | None) -> None:
        if kind == "jobs" and name == self._owner["metadata"]["name"]:
            self._take_own(thing)
        elif kind == "jobs" and name in self._jobs:
            self._take_job(self._jobs[name], thing)
        elif kind == "pods" and thing is not None:
            self._take_pod(thing)

    def _take_job(self, job: JobOf, state: KubernetesObject | None) -> None:
        if state is not None:
            job.state, job.created = state, True
        elif job.state is not None:
            job.state = None
            for running in self._results.open(job):
                self._results.write_lost(running, pods.Lost(1 << 8, message="its Job was deleted"))

    def _take_pod(self, pod: KubernetesObject) -> None:
        name, place = jobs.place_of(pod)
        running = self._jobs[name].members.get(place) if name in self._jobs else None
        if running is None:
            return
        made = pod["metadata"].get("creationTimestamp") or ""
        before = running.pod
        if before is None or (before["metadata"].get("creationTimestamp") or "") <= made:
            running.pod = pod

    def _take_own(self, job: KubernetesObject | None) -> None:
        """The driver's Job: the user ends the run by an annotation, or deletes it."""
        uid = self._owner["metadata"]["uid"]
        gone = job is None or job["metadata"]["uid"] != uid
        if job is None or gone or job["metadata"].get("deletionTimestamp"):
            troubles.say("the run's Job was deleted, and all of the run goes with it")
            os._exit(0)
        reason = (job["metadata"].get("annotations") or {}).get(jobs.CANCEL)
        if reason:
            self._ending.ask(reason)

    # ---------------------------------------------------------------- creation

    def _create_due(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if not job.created and job.due <= now:
                self._create(job)

    def _create(self, job: JobOf) -> None:
        """Make the Job; what is there already is taken for ours."""
        alive = [one for one in self._results.open(job) if not one.cancelled]
        wanted = [one for one in alive if not self._results.has_record(one)]
        if not wanted:
            return
        manifest = self._manifest(job, wanted)
        try:
            job.state = self._api.create("jobs", manifest)
        except ApiError as error:
            self._not_created(job, error)
            return
        job.created = True
        self._settle_all(job)

    def _manifest(self, job: JobOf, wanted: list[Running]) -> KubernetesObject:
        template = self._requests.template(job.keys[0][0])
        orders = self._orders(job, wanted)
        labels = [""] * len(job.keys)
        for place, running in job.members.items():
            labels[place] = running.attempt.label
        if job.entry:
            return jobs.indexed(template, self._owner, job.name, job.keys, orders, labels)
        return jobs.manifest(template, self._owner, job.keys[0], orders, labels[0])

    def _orders(self, job: JobOf, wanted: list[Running]) -> str:
        """Hand the requests over; gives the digest of a blob that lists them for the Job's pods.

        The pods are told the digest: what they run cannot be changed in the store.
        """
        listed = [["", ""] for _ in job.keys]
        for running in wanted:
            digest = self._requests.hand_over(running.attempt)
            listed[running.place] = [self._requests.path(running.attempt), digest]
        return self._context.store.put_blob(json.dumps(listed).encode())

    def _not_created(self, job: JobOf, error: ApiError) -> None:
        if error.status == 409 and error.reason == "AlreadyExists":
            self._adopt(job)
        elif error.is_passing or error.status == 409:
            kind = "unschedulable" if error.is_quota else "stuck"
            if error.status in (403, 422):
                self._troubles.meet(job, pods.Trouble(kind, "Forbidden", error.message))
            job.due = time.monotonic() + job.backoff.delay(error)
        else:
            self._refuse_all(job, f"the API server refused the step's Job: {error.message}")

    def _adopt(self, job: JobOf) -> None:
        try:
            found = self._api.get("jobs", job.name)
        except ApiError:
            job.due = time.monotonic() + job.backoff.delay()
            return
        labels = found["metadata"].get("labels") or {}
        if labels.get(jobs.RUN) == self._owner["metadata"]["uid"]:
            job.state, job.created = found, True
            self._settle_all(job)
        else:
            self._refuse_all(job, f"there is a Job {job.name} that is not of this run")

    def _refuse_all(self, job: JobOf, message: str) -> None:
        for running in self._results.open(job):
            self._results.refuse(running, message)

    def _settle_all(self, job: JobOf) -> None:
        for running in job.members.values():
            self._troubles.settle(running)

    # ---------------------------------------------------------------- ends

    def _take(self, key: Key) -> Ended:
        """The end of an attempt that the journal says is over."""
        running = self._running.pop(key)
        job = running.job
        if job is not None:
            del job.members[running.place]
            if not job.members:
                del self._jobs[job.name]
        self._troubles.settle(running)
        path = self._context.record_path(running.attempt)
        return Ended(running.attempt, self._results.take(running), path)

    # ---------------------------------------------------------------- cancellation

    def _end_cancelled(self) -> None:
        for running in self._running.values():
            if running.cancelled and running.key not in self._results:
                self._end(running)

    def _end(self, running: Running) -> None:
        """Suspend the Job, which ends its pods and keeps the Job: nobody will make it again."""
        job, state = running.job, running.state
        if job is not None and job.created and not job.suspended:
            job.suspended = self._suspend(job)
        is_ended = state is not None and (
            jobs.ended(state, running.place) != ""
            or (jobs.condition(state, "Suspended") is not None and not jobs.has_pods(state))
        )
        is_suspended = job is not None and job.suspended
        is_over = not running.is_created or running.force or (is_suspended and is_ended)
        if is_over and not self._results.has_record(running):
            self._results.write_lost(running, pods.Lost(15, "cancelled"))

    def _suspend(self, job: JobOf) -> bool:
        try:
            self._api.patch("jobs", job.name, {"spec": {"suspend": True}})
        except ApiError as error:
            if error.is_passing:
                return False
            troubles.say(f"{job.name}: {error.message}")
        return True


def _noted(keys: list[Key]) -> list[NotedAttempt]:
    """Attempts as an entry of the journal has them."""
    return [[node, list(index), number] for node, index, number in keys]


def _keys(noted: list[NotedAttempt]) -> list[Key]:
    return [(node, tuple(index), number) for node, index, number in noted]
