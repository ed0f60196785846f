"""Runs attempts as Jobs: starts and ends them, and says when they are over, by the journal."""

from __future__ import annotations

import json
import os
import queue
import sys
import time

from levada import cache, handover, records
from levada.engine import Ended, Executor
from levada.engine.lost import record_lost
from levada.failures import without_traceback
from levada.request import StepRequest
from levada.runner import record_hit
from levada.store import StoreError

from . import earlier, environments, jobs, pods
from .api import ApiError
from .ending import Ending
from .journal import Journal
from .running import JobOf, Running
from .watcher import Change, Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from levada.engine import Attempt
    from levada.engine.run_context import RunContext

    from .api import Api
    from .jobs import Key

#: Seconds in which a record has to be seen in the store, once its pod has ended well.
_STORE_PATIENCE = 90.0
#: Seconds between two looks at what makes no progress.
_LOOK = 5.0
#: Seconds that an attempt of a large fan-out waits for others to be started with it, and how many
#: there are in one Job at most.
_GATHER = 0.5
_MOST_TOGETHER = 1000


class JobExecutor(Executor):
    """Makes Jobs of attempts.

    ``owner`` is the driver's own Job, ``driver`` what the target says of the pipeline's Jobs
    (``levada.driver/1``), ``created`` when the run began (seconds since the epoch).
    """

    def __init__(
        self,
        context: RunContext,
        api: Api,
        owner: dict[str, Any],
        driver: dict[str, Any],
        created: float,
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
        self._looked_up: dict[Attempt, cache.Lookup] = {}
        self._records: dict[Key, dict[str, Any]] = {}
        self._changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._watchers: list[Watcher] = []
        self._looked_at = 0.0
        #: why the run is cancelled, and whether by force, once; for who tells the interpreter
        self.cancellation: tuple[str, bool] | None = None
        #: what keeps attempts from starting: for people
        self.waiting: dict[Key, str] = {}
        #: the run that this one tries again: what succeeded there is not run again
        self.retry_of: str | None = None
        #: called now and then, with whether there is nothing else to do
        self.on_look: Callable[[bool], None] | None = None

    def clock(self) -> float:
        """The time of the last entry of the journal: the same in every driver."""
        return self._now

    # ---------------------------------------------------------------- the executor

    def lookup(self, attempt: Attempt) -> Ended | None:
        """The end of the attempt as a hit of the cache, with its record written.

        What is found is part of the request, which is written once: all drivers go by it.
        """
        content = self._handed_over(attempt)
        if content is None:
            request = self._request(attempt)
            content = self._hand_over(attempt, request, self._look_up(request))
        found = _lookup_of(content)
        if found is None or not found.hit:
            if found is not None:
                self._looked_up[attempt] = found
            return None
        record = self._context.record(attempt)
        if record is None:
            request = StepRequest.from_json(content["request"])
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
        labels = self._template(attempt.node)["metadata"]["labels"]
        return attempt.siblings >= self._driver["indexed_from"] and jobs.QUEUE not in labels

    def _place_alone(self, running: Running) -> None:
        metadata = self._owner["metadata"]
        self._add(JobOf(jobs.name(metadata["name"], metadata["uid"], running.key), [running]))

    def _place_together(self, keys: list[Key]) -> None:
        """These get one Job: that is what the journal's last entry says."""
        members = [self._running[key] for key in keys]
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

    def _observe(self, until: float | None) -> dict[str, Any]:
        """Wait for something to note, and do meanwhile what Jobs need."""
        self._start_watching()
        while True:
            self._create_due()
            self._end_cancelled()
            self._look_at_troubles()
            entry = self._to_note(until)
            if self.on_look is not None:
                self.on_look(entry is None)
            if entry is not None:
                return entry
            self._take_changes(self._wait_seconds(until))

    def _to_note(self, until: float | None) -> dict[str, Any] | None:
        now = time.time()
        ended = [key for key, running in self._running.items() if self._is_over(running)]
        if ended:
            ended.sort(key=lambda key: (str(self._records[key].get("finished")), key))
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
        return max(0.0, min([_LOOK, *due]))

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

    def _take_change(self, kind: str, name: str, thing: dict[str, Any] | None) -> None:
        if kind == "jobs" and name == self._owner["metadata"]["name"]:
            self._take_own(thing)
        elif kind == "jobs" and name in self._jobs:
            self._take_job(self._jobs[name], thing)
        elif kind == "pods" and thing is not None:
            self._take_pod(thing)

    def _take_job(self, job: JobOf, state: dict[str, Any] | None) -> None:
        if state is not None:
            job.state, job.created = state, True
        elif job.state is not None:
            job.state = None
            for running in self._open(job):
                self._write_lost(running, pods.Lost(1 << 8, message="its Job was deleted"))

    def _take_pod(self, pod: dict[str, Any]) -> None:
        name, place = jobs.place_of(pod)
        running = self._jobs[name].members.get(place) if name in self._jobs else None
        if running is None:
            return
        made = pod["metadata"].get("creationTimestamp") or ""
        before = running.pod
        if before is None or (before["metadata"].get("creationTimestamp") or "") <= made:
            running.pod = pod

    def _open(self, job: JobOf) -> list[Running]:
        """The attempts of a Job of which no end is known."""
        return [each for each in job.members.values() if each.key not in self._records]

    def _take_own(self, job: dict[str, Any] | None) -> None:
        """The driver's Job: the user ends the run by an annotation, or deletes it."""
        uid = self._owner["metadata"]["uid"]
        gone = job is None or job["metadata"]["uid"] != uid
        if job is None or gone or job["metadata"].get("deletionTimestamp"):
            _say("the run's Job was deleted, and all of the run goes with it")
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
        wanted = [one for one in self._open(job) if not one.cancelled and not self._has_record(one)]
        if not wanted:
            return
        for running in wanted:
            if running.attempt.number > 1:  # of the first one `lookup` wrote the request
                self._hand_over(running.attempt, self._request(running.attempt), None)
        try:
            job.state = self._api.create("jobs", self._manifest(job))
        except ApiError as error:
            self._not_created(job, error)
            return
        job.created = True
        self._settle_all(job)

    def _manifest(self, job: JobOf) -> dict[str, Any]:
        template = self._template(job.keys[0][0])
        if job.entry:
            return jobs.indexed(template, self._owner, job.name, job.keys, job.entry)
        (running,) = job.members.values()
        return jobs.manifest(template, self._owner, running.key, self._request_path(running))

    def _not_created(self, job: JobOf, error: ApiError) -> None:
        if error.status == 409 and error.reason == "AlreadyExists":
            self._adopt(job)
        elif error.is_passing or error.status == 409:
            kind = "unschedulable" if error.is_quota else "stuck"
            if error.status in (403, 422):
                self._meet_all(job, pods.Trouble(kind, "Forbidden", error.message))
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

    # ---------------------------------------------------------------- ends

    def _is_over(self, running: Running) -> bool:
        """Whether it has ended; if so, its record is in the store and known here."""
        if running.key in self._records:
            return True
        said = pods.message(running.pod) if running.pod is not None else {}
        if "record" in said:
            self._records[running.key] = said["record"]
            return self._learn(running)
        if "path" in said:
            return self._has_record(running)
        ended = "" if running.state is None else jobs.ended(running.state, running.place)
        if not ended:
            return False
        if self._has_record(running):
            return self._learn(running)
        return self._is_lost(running, is_complete=ended == "Complete")

    def _is_lost(self, running: Running, *, is_complete: bool) -> bool:
        """Whether one that is over has left nothing: a store may take a while to show it."""
        if is_complete:
            running.ended = running.ended or time.monotonic()
            if time.monotonic() < running.ended + _STORE_PATIENCE:
                return False
        job = running.state or {}
        self._write_lost(running, pods.lost(running.pod, job, _memory_limit(job)))
        return True

    def _has_record(self, running: Running) -> bool:
        record = self._context.record(running.attempt)
        if record is not None:
            self._records[running.key] = record
        return record is not None

    def _learn(self, running: Running) -> bool:
        """Keep what the image has: the next run can look up the cache before it makes a pod."""
        request = self._request(running.attempt)
        image = self._image(running.attempt)
        if environments.is_wanted(self._context.store, image, request):
            record = self._context.record(running.attempt)
            if record is not None and record["status"] == records.SUCCEEDED:
                environments.keep(self._context.store, image, request, record["environment"])
        return True

    def _take(self, key: Key) -> Ended:
        """The end of an attempt that the journal says is over."""
        running = self._running.pop(key)
        job = running.job
        if job is not None:
            del job.members[running.place]
            if not job.members:
                del self._jobs[job.name]
        self._settle(running)
        path = self._context.record_path(running.attempt)
        record = self._records.pop(key, None) or self._read_record(path)
        if record.get("status") != records.SUCCEEDED:
            record = self._read_record(path)  # with all that the error says
        return Ended(running.attempt, record, path)

    def _read_record(self, path: str) -> dict[str, Any]:
        until = time.monotonic() + _STORE_PATIENCE
        while (record := records.read_document(self._context.store, path)) is None:
            if time.monotonic() > until:
                raise StoreError(f"{path} is in the journal of the run, but cannot be read")
            time.sleep(0.2)
        return record

    def _write_lost(self, running: Running, lost: pods.Lost) -> None:
        request = self._request(running.attempt)
        described = environments.known(self._context.store, self._image(running.attempt), request)
        request.environment = described or environments.unknown(self._image(running.attempt))
        self._records[running.key] = record_lost(
            request,
            self._context.store,
            looked_up=running.looked_up,
            status=lost.status,
            end=lost.end,
            started=running.started,
            message=lost.message,
        )

    def _refuse_all(self, job: JobOf, message: str) -> None:
        for running in self._open(job):
            self._refuse(running, message)

    def _refuse(self, running: Running, message: str) -> None:
        """The attempt cannot be run: the same would happen again."""
        from levada.attempt import Attempt as Recorded

        request = self._request(running.attempt)
        request.environment = environments.unknown(self._image(running.attempt))
        attempt = Recorded(request, self._context.store, [])
        attempt.started, attempt.looked_up = running.started, running.looked_up
        attempt.error = without_traceback("NotStarted", message, "error", permanent=True)
        self._records[running.key] = attempt.write(records.FAILED)

    # ---------------------------------------------------------------- cancellation

    def _end_cancelled(self) -> None:
        for running in self._running.values():
            if running.cancelled and running.key not in self._records:
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
        if is_over and not self._has_record(running):
            self._write_lost(running, pods.Lost(15, "cancelled"))

    def _suspend(self, job: JobOf) -> bool:
        try:
            self._api.patch("jobs", job.name, {"spec": {"suspend": True}})
        except ApiError as error:
            if error.is_passing:
                return False
            _say(f"{job.name}: {error.message}")
        return True

    # ---------------------------------------------------------------- trouble

    def _look_at_troubles(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + self._look_interval:
            return
        self._looked_at = now
        looked_at = [job for job in self._jobs.values() if job.created and not job.is_suspended]
        events = self._failed_creations() if any(map(self._is_lacking, looked_at)) else {}
        for job in looked_at:
            self._look_at(job, events)

    @property
    def _look_interval(self) -> float:
        return float(min(_LOOK, self._driver["stuck_after"] / 4))

    def _is_lacking(self, job: JobOf) -> bool:
        """Whether a Job should have pods by now, and has none: nothing but its events says why."""
        state, since = job.state or {}, time.monotonic() - self._look_interval
        return not (jobs.is_finished(state) or jobs.has_pods(state)) and any(
            one.pod is None and one.waits_since < since for one in self._open(job)
        )

    def _look_at(self, job: JobOf, events: dict[str, dict[str, Any]]) -> None:
        event = events.get((job.state or {}).get("metadata", {}).get("uid", ""))
        missing = None
        if event is not None and self._is_lacking(job):
            message = str(event.get("message") or "")
            kind = "unschedulable" if "exceeded quota" in message else "stuck"
            missing = pods.Trouble(kind, "FailedCreate", message)
        for one in self._open(job):
            found = missing if one.pod is None else pods.trouble(one.pod)
            if found is None:
                self._settle(one)
            else:
                self._meet(one, found)
        self._give_up(job)

    def _failed_creations(self) -> dict[str, dict[str, Any]]:
        """The last event of each Job of the namespace that has failed to make a pod, by its uid."""
        selector = "involvedObject.kind=Job,reason=FailedCreate"
        try:
            pages = list(self._api.pages("events", fieldSelector=selector))
        except ApiError:
            return {}
        events = sorted((event for page, _ in pages for event in page), key=_last_time)
        return {event["involvedObject"]["uid"]: event for event in events}

    def _meet_all(self, job: JobOf, trouble: pods.Trouble) -> None:
        for running in self._open(job):
            self._meet(running, trouble)
        self._give_up(job)

    def _meet(self, running: Running, trouble: pods.Trouble) -> None:
        """Something keeps it from starting: say so once."""
        if running.trouble is None or running.trouble.kind != trouble.kind:
            running.since = time.monotonic()
        running.trouble = trouble
        self.waiting[running.key] = f"{running.key[0]}: {trouble}"
        if running.said != trouble.reason:
            running.said = trouble.reason
            _say(f"{running.name} is waiting: {trouble}")

    def _give_up(self, job: JobOf) -> None:
        """End a Job whose start takes too long.

        One of several goes on while any of them runs: suspending it would end that as well.
        """
        running = self._open(job)
        if not any(map(self._is_overdue, running)) or not all(one.trouble for one in running):
            return
        if job.created and not self._suspend(job):
            return
        for one in running:
            self._refuse(one, f"it could not start within {self._patience(one):g} s: {one.trouble}")

    def _is_overdue(self, running: Running) -> bool:
        is_held = running.trouble is not None
        return is_held and time.monotonic() - running.since >= self._patience(running)

    def _patience(self, running: Running) -> float:
        kind = "stuck" if running.trouble is None else running.trouble.kind
        return float(self._driver[f"{kind}_after"])

    def _settle_all(self, job: JobOf) -> None:
        for running in job.members.values():
            self._settle(running)

    def _settle(self, running: Running) -> None:
        running.trouble, running.said = None, ""
        self.waiting.pop(running.key, None)

    # ---------------------------------------------------------------- what an attempt is

    def _request(self, attempt: Attempt) -> StepRequest:
        request = self._context.request(attempt)
        request["project"] = "."
        request["step"]["source_roots"] = self._context.search
        return StepRequest.from_json(request)

    def _look_up(self, request: StepRequest) -> cache.Lookup | None:
        """What is known of the same step with the same inputs; of the image, if that is known.

        Of a run that this one tries again it is what succeeded there.
        """
        if self.retry_of:
            found = earlier.look_up(self._context.store, request, self.retry_of)
            if found is not None:
                return found
        if not self._context.use_cache or request.settings.get("cache") is False:
            return None
        image = self._image_of(request.node)
        request.environment = environments.known(self._context.store, image, request)
        if request.environment is None:
            return None
        return cache.lookup(request, self._context.store)

    def _hand_over(
        self, attempt: Attempt, request: StepRequest, looked_up: cache.Lookup | None
    ) -> dict[str, Any]:
        """Write what the pod is to do, once; gives what is there then."""
        content = handover.content(request.as_json(), looked_up)
        if looked_up is not None and looked_up.hit:
            content["entry"] = looked_up.entry
        path = f"{self._context.attempt_folder(attempt)}/request.json"
        if self._context.store.write_once(path, json.dumps(content).encode()):
            return content
        return self._handed_over(attempt) or content

    def _handed_over(self, attempt: Attempt) -> dict[str, Any] | None:
        path = f"{self._context.attempt_folder(attempt)}/request.json"
        return records.read_document(self._context.store, path)

    def _request_path(self, running: Running) -> str:
        return f"{self._context.attempt_folder(running.attempt)}/request.json"

    def _image(self, attempt: Attempt) -> str:
        return self._image_of(attempt.node)

    def _template(self, node: str) -> dict[str, Any]:
        template: dict[str, Any] = self._driver["templates"][self._driver["jobs"][node]]
        return template

    def _image_of(self, node: str) -> str:
        return str(self._template(node)["spec"]["template"]["spec"]["containers"][0]["image"])


def _noted(keys: list[Key]) -> list[list[Any]]:
    """Attempts as an entry of the journal has them."""
    return [[node, list(index), number] for node, index, number in keys]


def _keys(noted: list[list[Any]]) -> list[Key]:
    return [(node, tuple(index), number) for node, index, number in noted]


def _lookup_of(content: dict[str, Any]) -> cache.Lookup | None:
    if content["looked_up"] is None:
        return None
    key, parts, reasons = content["looked_up"]
    return cache.Lookup(key, parts, content.get("entry"), reasons)


def _memory_limit(job: dict[str, Any]) -> str | None:
    resources = job["spec"]["template"]["spec"]["containers"][0].get("resources") or {}
    limit: str | None = (resources.get("limits") or {}).get("memory")
    return limit


def _last_time(event: dict[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
