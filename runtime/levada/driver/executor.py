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
from .api import ApiError, Backoff
from .journal import Journal
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


class _Running:
    """An attempt that is to have a Job, or has one. Times are of the monotonic clock."""

    __slots__ = (
        *("attempt", "cancelled", "created", "due", "force", "key", "looked_up", "name", "said"),
        *("since", "started", "suspended", "trouble", "backoff", "ended"),
    )

    def __init__(self, attempt: Attempt, key: Key, name: str) -> None:
        self.attempt = attempt
        self.key = key
        self.name = name
        self.looked_up: cache.Lookup | None = None
        self.created = False
        self.started = time.time_ns()
        #: when its creation is to be tried
        self.due = 0.0
        self.backoff = Backoff()
        self.cancelled = self.force = self.suspended = False
        #: what keeps it from starting, and since when
        self.trouble: pods.Trouble | None = None
        self.since = 0.0
        self.said = ""
        #: when its Job was seen to be complete
        self.ended = 0.0


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
        self._deadline = created + driver["timeout"] if driver.get("timeout") else None
        self._journal = Journal(context.store, context.folder)
        self._running: dict[Key, _Running] = {}
        self._by_name: dict[str, _Running] = {}
        self._looked_up: dict[Attempt, cache.Lookup] = {}
        self._records: dict[Key, dict[str, Any]] = {}
        self._jobs: dict[str, dict[str, Any]] = {}
        self._pods: dict[str, dict[str, Any]] = {}
        self._changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._watchers: list[Watcher] = []
        self._looked_at = 0.0
        self._asked_to_cancel = ""
        self._cancelled = False
        #: why the run was cancelled, once; for who tells the interpreter
        self.cancellation: str | None = None
        #: what keeps attempts from starting, by Job: for people
        self.waiting: dict[str, str] = {}
        #: the run that this one tries again: what succeeded there is not run again
        self.retry_of: str | None = None
        #: called now and then
        self.on_look: Callable[[], None] | None = None

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
        path = self._record_path(jobs.key_of(attempt))
        record = records.read_document(self._context.store, path)
        if record is None:
            request = StepRequest.from_json(content["request"])
            record = record_hit(request, found, self._context.store)
        return Ended(attempt, record, path)

    def start(self, attempt: Attempt) -> None:
        """Have a Job made for the attempt, unless it has one or is over."""
        key = jobs.key_of(attempt)
        metadata = self._owner["metadata"]
        running = _Running(attempt, key, jobs.name(metadata["name"], metadata["uid"], key))
        running.looked_up = self._looked_up.pop(attempt, None)
        self._running[key] = self._by_name[running.name] = running

    def poll(self, timeout: float | None) -> list[Ended]:
        """Give the ends in the next entry of the journal; write it if there is none yet."""
        until = None if timeout is None else self._now + timeout
        entry = self._journal.read()
        if entry is None:
            entry = self._journal.propose(self._observe(until))
        self._now = max(self._now, entry["time"])
        if entry.get("cancel"):
            self.cancellation, self._cancelled = entry["cancel"], True
        keys = [(node, tuple(index), number) for node, index, number in entry.get("ended", ())]
        return [self._take(key) for key in keys if key in self._running]

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

    def ask_to_cancel(self, reason: str) -> None:
        """Have the run end; it is noted in the journal first."""
        self._asked_to_cancel = self._asked_to_cancel or reason

    # ---------------------------------------------------------------- what happens

    def _observe(self, until: float | None) -> dict[str, Any]:
        """Wait for something to note, and do meanwhile what Jobs need."""
        self._start_watching()
        while True:
            self._create_due()
            self._end_cancelled()
            self._look_at_troubles()
            if self.on_look is not None:
                self.on_look()
            entry = self._to_note(until)
            if entry is not None:
                return entry
            self._take_changes(self._wait_seconds(until))

    def _to_note(self, until: float | None) -> dict[str, Any] | None:
        now = time.time()
        ended = [key for key, running in self._running.items() if self._is_over(running)]
        if ended:
            ended.sort(key=lambda key: (str(self._records[key].get("finished")), key))
            return {"time": now, "ended": [[node, list(index), n] for node, index, n in ended]}
        if self._deadline is not None and now >= self._deadline:
            self.ask_to_cancel(f"the run took longer than {self._driver['timeout']:g} s")
        if self._asked_to_cancel and not self._cancelled:
            return {"time": now, "cancel": self._asked_to_cancel}
        if until is not None and now >= until:
            return {"time": now}
        return None

    def _wait_seconds(self, until: float | None) -> float:
        now = time.monotonic()
        due = [running.due - now for running in self._running.values() if not running.created]
        due += [] if until is None else [until - time.time()]
        if self._deadline is not None and not self._cancelled:
            due.append(self._deadline - time.time())
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
        elif kind == "jobs" and name in self._by_name:
            if thing is not None:
                self._jobs[name] = thing
                self._by_name[name].created = True
            elif self._jobs.pop(name, None) is not None:
                self._write_lost(
                    self._by_name[name], pods.Lost(1 << 8, message="its Job was deleted")
                )
        elif kind == "pods" and thing is not None:
            self._take_pod(thing)

    def _take_pod(self, pod: dict[str, Any]) -> None:
        job = (pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name", "")
        if job not in self._by_name:
            return
        before = self._pods.get(job)
        made = pod["metadata"].get("creationTimestamp") or ""
        if before is None or (before["metadata"].get("creationTimestamp") or "") <= made:
            self._pods[job] = pod

    def _take_own(self, job: dict[str, Any] | None) -> None:
        """The driver's Job: the user ends the run by an annotation, or deletes it."""
        uid = self._owner["metadata"]["uid"]
        gone = job is None or job["metadata"]["uid"] != uid
        if job is None or gone or job["metadata"].get("deletionTimestamp"):
            _say("the run's Job was deleted, and all of the run goes with it")
            os._exit(0)
        reason = (job["metadata"].get("annotations") or {}).get(jobs.CANCEL)
        if reason:
            self.ask_to_cancel(reason)

    # ---------------------------------------------------------------- creation

    def _create_due(self) -> None:
        now = time.monotonic()
        for running in list(self._running.values()):
            if not running.created and not running.cancelled and running.due <= now:
                self._create(running)

    def _create(self, running: _Running) -> None:
        """Make the Job; what is there already is taken for ours."""
        if self._has_record(running):
            return
        if running.attempt.number > 1:  # of the first one the request was written by `lookup`
            self._hand_over(running.attempt, self._request(running.attempt), None)
        template = self._driver["templates"][self._driver["jobs"][running.attempt.node]]
        manifest = jobs.manifest(template, self._owner, running.key, self._request_path(running))
        try:
            self._api.create("jobs", manifest)
        except ApiError as error:
            self._not_created(running, error)
            return
        running.created = True
        self._settle(running)

    def _not_created(self, running: _Running, error: ApiError) -> None:
        if error.status == 409 and error.reason == "AlreadyExists":
            self._adopt(running)
        elif error.is_passing or error.status == 409:
            kind = "unschedulable" if error.is_quota else "stuck"
            if error.status in (403, 422):
                self._meet(running, pods.Trouble(kind, "Forbidden", error.message))
            running.due = time.monotonic() + running.backoff.delay(error)
        else:
            self._refuse(running, f"the API server refused the step's Job: {error.message}")

    def _adopt(self, running: _Running) -> None:
        try:
            found = self._api.get("jobs", running.name)
        except ApiError:
            running.due = time.monotonic() + running.backoff.delay()
            return
        labels = found["metadata"].get("labels") or {}
        if labels.get(jobs.RUN) == self._owner["metadata"]["uid"]:
            running.created = True
            self._settle(running)
        else:
            self._refuse(running, f"there is a Job {running.name} that is not of this run")

    # ---------------------------------------------------------------- ends

    def _is_over(self, running: _Running) -> bool:
        """Whether it has ended; if so, its record is in the store and known here."""
        if running.key in self._records:
            return True
        pod, job = self._pods.get(running.name), self._jobs.get(running.name)
        said = pods.message(pod) if pod is not None else {}
        if "record" in said:
            self._records[running.key] = said["record"]
            return self._learn(running)
        if "path" in said:
            return self._has_record(running)
        if job is None or not jobs.is_finished(job):
            return False
        if self._has_record(running):
            return self._learn(running)
        return self._is_lost(running, pod, job)

    def _is_lost(self, running: _Running, pod: dict[str, Any] | None, job: dict[str, Any]) -> bool:
        """Whether a Job that is over has left nothing: a store may take a while to show it."""
        if jobs.condition(job, "Complete"):
            running.ended = running.ended or time.monotonic()
            if time.monotonic() < running.ended + _STORE_PATIENCE:
                return False
        self._write_lost(running, pods.lost(pod, job, _memory_limit(job)))
        return True

    def _has_record(self, running: _Running) -> bool:
        record = records.read_document(self._context.store, self._record_path(running.key))
        if record is not None:
            self._records[running.key] = record
        return record is not None

    def _learn(self, running: _Running) -> bool:
        """Keep what the image has: the next run can look up the cache before it makes a pod."""
        request = self._request(running.attempt)
        image = self._image(running.attempt)
        if environments.is_wanted(self._context.store, image, request):
            record = records.read_document(self._context.store, self._record_path(running.key))
            if record is not None and record["status"] == records.SUCCEEDED:
                environments.keep(self._context.store, image, request, record["environment"])
        return True

    def _take(self, key: Key) -> Ended:
        """The end of an attempt that the journal says is over."""
        running = self._running.pop(key)
        del self._by_name[running.name]
        for known in (self._jobs, self._pods):
            known.pop(running.name, None)
        self._settle(running)
        path = self._record_path(key)
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

    def _write_lost(self, running: _Running, lost: pods.Lost) -> None:
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

    def _refuse(self, running: _Running, message: str) -> None:
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

    def _end(self, running: _Running) -> None:
        """Suspend the Job, which ends its pod and keeps the Job: nobody will make it again."""
        if running.created and not running.suspended:
            running.suspended = self._suspend(running)
        job = self._jobs.get(running.name)
        is_ended = job is not None and (
            jobs.is_finished(job)
            or (jobs.condition(job, "Suspended") is not None and not jobs.has_pods(job))
        )
        is_over = not running.created or running.force or (running.suspended and is_ended)
        if is_over and not self._has_record(running):
            self._write_lost(running, pods.Lost(15, "cancelled"))

    def _suspend(self, running: _Running) -> bool:
        try:
            self._api.patch("jobs", running.name, {"spec": {"suspend": True}})
        except ApiError as error:
            if error.is_passing:
                return False
            _say(f"{running.name}: {error.message}")
        return True

    # ---------------------------------------------------------------- trouble

    def _look_at_troubles(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + min(_LOOK, self._driver["stuck_after"] / 4):
            return
        self._looked_at = now
        for running in list(self._running.values()):
            if running.created and running.key not in self._records:
                self._look_at(running)

    def _look_at(self, running: _Running) -> None:
        job, pod = self._jobs.get(running.name), self._pods.get(running.name)
        if job is None or job["spec"].get("suspend"):
            return  # Kueue holds it back, or we have ended it
        found = pods.trouble(pod) if pod is not None else self._without_pod(running)
        if found is None:
            self._settle(running)
        else:
            self._meet(running, found)

    def _without_pod(self, running: _Running) -> pods.Trouble | None:
        """Why a Job has no pod: nothing but its events says so."""
        job = self._jobs[running.name]
        if jobs.is_finished(job) or jobs.has_pods(job):
            return None
        try:
            found, _ = self._api.list(
                "events",
                fieldSelector=f"involvedObject.uid={job['metadata']['uid']},reason=FailedCreate",
            )
        except ApiError:
            return None
        if not found:
            return None
        message = str(max(found, key=_last_time).get("message") or "")
        kind = "unschedulable" if "exceeded quota" in message else "stuck"
        return pods.Trouble(kind, "FailedCreate", message)

    def _meet(self, running: _Running, trouble: pods.Trouble) -> None:
        """Something keeps it from starting: say so once, and give up when it takes too long."""
        now = time.monotonic()
        if running.trouble is None or running.trouble.kind != trouble.kind:
            running.since = now
        running.trouble = trouble
        self.waiting[running.name] = f"{running.key[0]}: {trouble}"
        if running.said != trouble.reason:
            running.said = trouble.reason
            _say(f"{running.name} is waiting: {trouble}")
        patience = self._driver[f"{trouble.kind}_after"]
        if now - running.since >= patience and running.key not in self._records:
            if running.created and not self._suspend(running):
                return
            self._refuse(running, f"it could not start within {patience:g} s: {trouble}")

    def _settle(self, running: _Running) -> None:
        running.trouble, running.said = None, ""
        self.waiting.pop(running.name, None)

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

    def _request_path(self, running: _Running) -> str:
        return f"{self._context.attempt_folder(running.attempt)}/request.json"

    def _record_path(self, key: Key) -> str:
        node, index, number = key
        place = (self._context.pipeline, self._context.run_id, node, index, number)
        return f"{records.attempt_path(*place)}/record.json"

    def _image(self, attempt: Attempt) -> str:
        return self._image_of(attempt.node)

    def _image_of(self, node: str) -> str:
        template = self._driver["templates"][self._driver["jobs"][node]]
        return str(template["spec"]["template"]["spec"]["containers"][0]["image"])


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
