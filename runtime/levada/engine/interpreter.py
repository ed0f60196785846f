"""Runs a plan with an executor: what starts when, and what a failure means.

The meaning is plain Python's, but for what does not depend on each other running at the same time.

Failures. In the region of an ``except``, what plain Python would have run before the failing node
is still run, what it would have run after is not; then the handler is. A failure that nothing
catches stops everything: nothing new is started but the ``finally`` regions of the guards in which
something had been started. Of several failures the one that counts is the first in the order of
the source, as it would be in plain Python. A call that is given up before its last attempt, because
everything stops, fails too, but is never the one that counts.
"""

from __future__ import annotations

import heapq
import time

from levada import expressions, item_labels
from levada.failures import of_expression as describe
from levada.failures import raised
from levada.index_log import RunWork

from . import events
from .definitions import Definitions, decision
from .events import Event
from .executor import Attempt
from .instances import (
    CANCELLED,
    FAILED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    Failure,
    Frame,
    Instance,
)
from .nodes import RunNodes
from .outcome import RunUse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Unpack

    from levada.engine.event_types import EventDetails
    from levada.expressions import Variable
    from levada.plan_types import (
        BranchNode,
        CallNode,
        FailNode,
        LoopNode,
        Plan,
        RetrySetting,
        ValueNode,
    )
    from levada.record_types import ErrorPart
    from levada.store import Store
    from levada.trees.tree_types import Tree

    from .definitions import Definition, Region
    from .executor import Ended, Executor


#: Seconds; what waits longer is asked again.
_LONGEST_POLL = 3600.0
_YEAR = 365 * 86400.0


class DeadlockError(RuntimeError):
    """A plan whose nodes wait for each other: it was not made by the compiler."""


class Interpreter:
    """One run of a plan.

    ``parameters`` are the trees of all its parameters. ``executor`` runs the attempts, at most
    ``max_parallel`` at a time; ``on_event`` is called with an :class:`Event` for whatever happens.
    ``attend`` is called whenever the run goes on, and may :meth:`cancel` it. ``clock`` gives the
    seconds that delays between attempts are counted in. ``secrets`` are the values to mask in the
    labels of items; with None, when steps may give secrets that are not known here, items have no
    labels.
    """

    def __init__(
        self,
        plan: Plan,
        parameters: dict[str, Tree],
        executor: Executor,
        store: Store,
        *,
        max_parallel: int,
        on_event: Callable[[Event], None] | None = None,
        attend: Callable[[Interpreter], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        secrets: Collection[str] | None = (),
    ) -> None:
        self.plan = plan
        self._clock = clock
        self.definitions = Definitions(plan)
        self.nodes = RunNodes(self.definitions)
        self.failure: Failure | None = None
        self.cancelled: str | None = None
        self._executor = executor
        self._store = store
        self.scope = expressions.Scope(
            parameters, self.nodes, store, definitions=self.definitions.texts
        )
        self._attend = attend
        self._max_parallel = max_parallel
        self._secrets = secrets
        self._on_event = on_event
        self._stopping = False
        self._forced = False
        self._ready: list[tuple[tuple[int, ...], Instance]] = []
        self._retries: list[tuple[float, int, Instance]] = []
        self._running: dict[tuple[str, tuple[int, ...]], Instance] = {}
        self._resolved: set[tuple[str, tuple[int, ...]]] = set()
        self._waiters: dict[tuple[str, tuple[int, ...]], list[Instance]] = {}
        self.skipped: list[tuple[str, tuple[int, ...], str]] = []
        self.used = RunUse()
        self.work = RunWork()
        self._over = False

    # ---------------------------------------------------------------- the run

    def run(self) -> Failure | None:
        """Run the plan to its end; gives the failure of the run, if there is one."""
        self._open(self.definitions.root, None, 0, (), {})
        while not self._over:
            self._settle()
            if self._over:
                break
            if not self._running and not self._retries:
                raise DeadlockError(f"nothing can start in {self.plan['pipeline']!r}")
            for ended in self._executor.poll(self._patience()):
                self._ended(ended)
            if self._attend is not None:
                self._attend(self)
        return self.failure

    def cancel(self, reason: str, *, force: bool = False) -> None:
        """End the run: running attempts are asked to end, or made to with ``force``.

        ``finally`` regions that were entered still run, unless it is forced.
        """
        self.cancelled = self.cancelled or reason
        self._stopping = True
        self._forced = self._forced or force
        self._emit(Event(events.CANCELLING, force=force, reason=reason))
        for instance in list(self._running.values()):
            if instance.attempt is not None:
                self._executor.cancel(instance.attempt, force=force)
        self._give_up_retries()

    def _settle(self) -> None:
        """Start what can be started, what plain Python would run first before others.

        Decisions wait for room like steps do: made earlier they could open nothing, but fail
        before what comes before them in the source.
        """
        self._due_retries()
        while self._ready and len(self._running) < self._max_parallel:
            self._activate(heapq.heappop(self._ready)[1])

    def _patience(self) -> float | None:
        if not self._retries:
            return None
        return min(_LONGEST_POLL, max(0.0, self._retries[0][0] - self._clock()))

    # ---------------------------------------------------------------- opening

    def _open(
        self,
        region: Region,
        owner: Instance | None,
        ordinal: int,
        index: tuple[int, ...],
        variables: dict[str, Variable],
        *,
        is_repeated: bool = False,
    ) -> Frame:
        frame = Frame(region, owner, ordinal, index, variables, is_repeated=is_repeated)
        if owner is not None:
            owner.pending += 1
        for definition in region.nodes:
            self._create(definition, frame)
        if not region.nodes:
            self._frame_over(frame)
        return frame

    def _create(self, definition: Definition, frame: Frame) -> None:
        instance = Instance(definition, frame)
        self.nodes.add(instance)
        for name, depth in definition.waits:
            key = (name, frame.index[:depth])
            if key not in self._resolved:
                instance.waiting += 1
                self._waiters.setdefault(key, []).append(instance)
        if not instance.waiting:
            self._make_ready(instance)

    def _inner(self, instance: Instance, slot: str) -> Frame:
        """Open a region of a branch, a guard or a group."""
        frame, definition = instance.frame, instance.definition
        return self._open(
            definition.regions[slot],
            instance,
            list(definition.regions).index(slot),
            frame.index,
            frame.variables,
            is_repeated=frame.is_repeated,
        )

    # ---------------------------------------------------------------- starting

    def _allowed(self, instance: Instance) -> bool:
        """Whether it may still be started, after the failures so far."""
        if self._forced:
            return False
        inner: Frame | None = None
        for node, frame in instance.around():
            if inner is not None and inner.ordinal > node.cutoff:
                return False
            if node.definition.ordinal > frame.cutoff:
                return False
            if frame.region.slot == "final":
                return True
            inner = frame
        return not self._stopping

    def _activate(self, instance: Instance) -> None:
        """All that it waits for is there: start it, or open it."""
        if not self._allowed(instance):
            self._drop(instance)
            return
        instance.state = RUNNING
        form = instance.definition.form
        if form["kind"] == "call":
            self._start(instance, form)
        elif form["kind"] == "value":
            self._evaluate(instance, form)
        elif form["kind"] == "fail":
            self._raise(instance, form)
        elif form["kind"] == "branch":
            self._decide(instance, form)
        elif form["kind"] == "loop":
            self._expand(instance, form)
        else:
            self._inner(instance, "body")

    def _make_ready(self, instance: Instance) -> None:
        """All that it waits for is there, or its next attempt is due."""
        heapq.heappush(self._ready, (instance.order(), instance))

    def _scope(self, frame: Frame) -> expressions.Scope:
        return self.scope.within(frame.variables)

    def _evaluate(self, instance: Instance, form: ValueNode) -> None:
        """Evaluate a named value that may raise, at its place; others are when they are used."""
        if form["raises"]:
            try:
                expressions.named(instance.definition.id, self._scope(instance.frame))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this node's failure
                self._fail(instance, describe(error))
                return
        self._succeed(instance)

    def _raise(self, instance: Instance, form: FailNode) -> None:
        instance.touch()
        scope = self._scope(instance.frame)
        error: ErrorPart
        try:
            if form["guard"]:
                error = expressions.handled(form["guard"], scope)
            else:
                arguments = [expressions.value(text, scope) for text in form["arguments"]]
                error = raised(form["classes"], arguments)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this node's failure
            error = describe(failure)
        self._fail(instance, error)

    def _decide(self, instance: Instance, form: BranchNode) -> None:
        instance.touch()
        try:
            taken = expressions.truth(form["condition"], self._scope(instance.frame))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this node's failure
            self._fail(instance, describe(error))
            return
        self._resolve((decision(instance.definition.id), instance.frame.index))
        slot, other = ("then", "otherwise") if taken else ("otherwise", "then")
        self._declare_skipped(instance.definition.regions[other], instance)
        self._inner(instance, slot)

    def _expand(self, instance: Instance, form: LoopNode) -> None:
        instance.touch()
        scope = self._scope(instance.frame)
        try:
            named = form.get("named", ())
            items = list(
                expressions.iterations(form["target"], form["items"], form["where"], scope, named)
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this node's failure
            self._fail(instance, describe(error))
            return
        instance.iterations = len(items)
        repeated = item_labels.repeated(items)
        instance.unopened = zip(range(len(items)), items, repeated, strict=True)
        instance.pending += 1  # so that it is not over before its last iteration is opened
        for _ in range(instance.at_once):
            self._open_iteration(instance)
        instance.pending -= 1
        if not instance.pending:
            self._close(instance)

    def _open_iteration(self, loop: Instance) -> None:
        """Open the next iteration of a loop, if there is one; after a failure nothing starts."""
        frame, found = loop.frame, next(loop.unopened, None)
        if found is not None:
            i, variables, is_repeated = found
            self._open(
                loop.definition.regions["body"],
                loop,
                i,
                (*frame.index, i),
                frame.variables | variables,
                is_repeated=is_repeated or frame.is_repeated,
            )

    def _start(self, instance: Instance, form: CallNode) -> None:
        """Start the next attempt of a call, or finish it from the cache."""
        instance.touch()
        if instance.attempt is None:
            try:
                instance.attempt = self._first_attempt(instance, form)
                cached = self._executor.lookup(instance.attempt)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this node's failure
                self._fail(instance, describe(error))
                return
            if cached is not None:
                self._emit_record(instance, cached, events.NODE_CACHED)
                self._succeed(instance)
                return
        self._running[instance.key] = instance
        self._emit_of(instance, events.NODE_STARTED, step=form["step"])
        self._executor.start(instance.attempt)

    def _label(self, instance: Instance) -> str:
        """Return what people call the iteration that a node is in."""
        frame = instance.frame
        if frame.label is None:
            index = frame.index if frame.is_repeated else ()
            known = self._secrets
            frame.label = (
                ""
                if known is None
                else item_labels.label(frame.variables, self._store, known, index)
            )
        return frame.label

    def _first_attempt(self, instance: Instance, form: CallNode) -> Attempt:
        scope = self._scope(instance.frame)
        given = {name: expressions.tree(text, scope) for name, text in form["inputs"].items()}
        inputs = expressions.spread(given, self._store)
        return Attempt(
            instance.definition.id,
            instance.frame.index,
            1,
            self.plan["steps"][form["step"]],
            form["settings"],
            inputs,
            form["inputs"],
            instance.siblings(),
            self._label(instance),
        )

    # ---------------------------------------------------------------- ends of attempts

    def _ended(self, ended: Ended) -> None:
        instance = self._running.pop((ended.attempt.node, ended.attempt.map_index))
        succeeded = ended.record["status"] == SUCCEEDED
        kind = events.NODE_FINISHED if succeeded else events.ATTEMPT_FAILED
        self._emit_record(instance, ended, kind)
        if succeeded:
            self._succeed(instance)
            return
        error = _error_of(ended)
        delay = self._retry_delay(ended.attempt, error)
        if delay is None:
            self._fail(instance, error, ended.path)
            return
        if not self._allowed(instance):
            self._give_up(instance, ended)
            return
        instance.attempt = ended.attempt.next()
        self._emit_of(instance, events.RETRY, delay=delay)
        due = self._clock() + delay
        heapq.heappush(self._retries, (due, id(instance), instance))

    def _retry_delay(self, attempt: Attempt, error: ErrorPart) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        retry: RetrySetting | None = attempt.settings.get("retry")
        failed = attempt.number
        if error.get("permanent") or error.get("kind") == CANCELLED:
            return None
        if retry is None or failed > retry.get("count", 0):
            return None
        return backoff(retry, failed)

    def _due_retries(self) -> None:
        now = self._clock()
        while self._retries and self._retries[0][0] <= now:
            self._make_ready(heapq.heappop(self._retries)[2])

    def _give_up_retries(self) -> None:
        """Look at every call that waits for its next attempt: it may not be allowed any more."""
        kept = []
        for due, number, instance in self._retries:
            if self._allowed(instance):
                kept.append((due, number, instance))
            else:
                self._make_ready(instance)
        heapq.heapify(kept)
        self._retries = kept

    def _drop(self, instance: Instance) -> None:
        """A call that may not be started any more: skipped, or failed if it was tried before."""
        if instance.ended is None:
            self._skip(instance)
        else:
            self._give_up(instance, instance.ended)

    def _give_up(self, instance: Instance, ended: Ended) -> None:
        """Fail a call with its last attempt's error although it has attempts left."""
        instance.attempt = ended.attempt  # the next one never started
        self._fail(instance, _error_of(ended), ended.path, gave_up=True)

    # ---------------------------------------------------------------- ends of nodes

    def _succeed(self, instance: Instance) -> None:
        instance.state = SUCCEEDED
        self._finish(instance)

    def _skip(self, instance: Instance) -> None:
        instance.state = SKIPPED
        self._resolve_inside(instance)
        self._finish(instance)

    def _fail(
        self,
        instance: Instance,
        error: ErrorPart,
        record: str | None = None,
        *,
        gave_up: bool = False,
    ) -> None:
        """The node itself failed: a call after its last attempt, a condition, the items."""
        instance.state = FAILED
        self._label(instance)  # the failure shows it
        instance.failure = Failure(instance, error, record, gave_up=gave_up)
        self.nodes.add_failure(instance)
        self._emit_of(instance, events.NODE_FAILED, error=error)
        self._stop_after(instance, instance.failure)
        self._resolve_inside(instance)
        self._finish(instance)

    def _stop_after(self, instance: Instance, failure: Failure) -> None:
        """Let nothing start that plain Python would not have started after this failure."""
        inner: Frame | None = None
        for node, frame in instance.around():
            if inner is not None and node.definition.kind == "loop":
                node.cutoff = min(node.cutoff, inner.ordinal)
            frame.cutoff = min(frame.cutoff, node.definition.ordinal)
            if self._catches(frame, failure):
                break
            inner = frame
        else:
            self._stopping = True
        self._give_up_retries()

    def _catches(self, frame: Frame, failure: Failure) -> bool:
        """Whether a failure in this frame is handled by the guard that it belongs to."""
        guard = frame.owner
        return (
            guard is not None
            and frame.region.slot == "body"
            and "handler" in guard.definition.regions
            and failure.catchable
            and self._allowed(guard)
        )

    def _finish(self, instance: Instance) -> None:
        """The node is over: tell those who wait for it, and its frame."""
        self._resolve(instance.key)
        frame = instance.frame
        frame.failure = _first(frame.failure, instance.failure)
        frame.pending -= 1
        if not frame.pending:
            self._frame_over(frame)

    def _resolve(self, key: tuple[str, tuple[int, ...]]) -> None:
        self._resolved.add(key)
        for waiter in self._waiters.pop(key, ()):
            waiter.waiting -= 1
            if not waiter.waiting:
                self._make_ready(waiter)

    def _resolve_inside(self, instance: Instance) -> None:
        """Nothing in this node will run: nobody needs to wait for it."""
        definition, index = instance.definition, instance.frame.index
        for inner in (definition, *definition.awaitable()):
            self._resolve_decision(inner, index)
        for inner in definition.awaitable():
            self._resolve((inner.id, index))
        if instance.state == SKIPPED and definition.kind == "call":
            self._note_skipped(definition, instance)
        for inner in definition.descendants():
            self._note_skipped(inner, instance)

    def _resolve_decision(self, definition: Definition, index: tuple[int, ...]) -> None:
        if definition.kind == "branch":
            self._resolve((decision(definition.id), index))

    def _declare_skipped(self, region: Region, branch: Instance) -> None:
        """The side of a branch that is not taken."""
        index = branch.frame.index
        for definition in region.awaitable():
            self._resolve_decision(definition, index)
            self._resolve((definition.id, index))
        for definition in region.nodes:
            self._note_skipped(definition, branch)
            for inner in definition.descendants():
                self._note_skipped(inner, branch)

    def _note_skipped(self, definition: Definition, around: Instance) -> None:
        """Note that a call is skipped: that of an instance, or one in it."""
        if definition.kind == "call":
            index, label = around.frame.index, self._label(around)
            self.skipped.append((definition.id, index, label))
            item: EventDetails = {"item": label} if label else {}
            self._emit(Event(events.NODE_SKIPPED, definition.id, index or None, **item))

    def _frame_over(self, frame: Frame) -> None:
        owner = frame.owner
        if owner is None:
            self._over = True
            self.failure = frame.failure
            return
        owner.pending -= 1
        kind = owner.definition.kind
        if kind == "guard":
            self._guard_goes_on(owner, frame)
            return
        owner.failure = _first(owner.failure, frame.failure)
        if kind == "loop":
            self._open_iteration(owner)
        if not owner.pending:
            self._close(owner)

    def _close(self, instance: Instance) -> None:
        """All frames of a node are over."""
        instance.state = SUCCEEDED if instance.failure is None else FAILED
        self._finish(instance)

    def _guard_goes_on(self, guard: Instance, frame: Frame) -> None:
        """One region of a guard is over: go on with the next that has to run."""
        slot = frame.region.slot
        if slot == "body":
            guard.failure = frame.failure
            if frame.failure is not None and self._catches(frame, frame.failure):
                self._inner(guard, "handler")
                return
        elif frame.failure is not None:
            guard.failure = frame.failure.during(guard.failure)
        elif slot == "handler":
            guard.failure = None
        # A guard in which nothing was started when everything stopped was not entered.
        entered = guard.touched or self._allowed(guard)
        if slot != "final" and entered and guard.definition.regions["final"].nodes:
            self._inner(guard, "final")
        else:
            self._close(guard)

    # ---------------------------------------------------------------- telling

    def _emit_of(self, instance: Instance, kind: str, **details: Unpack[EventDetails]) -> None:
        number = None if instance.attempt is None else instance.attempt.number
        name, index = instance.key
        if label := instance.frame.label:
            details["item"] = label
        self._emit(Event(kind, name, index or None, number, **details))

    def _emit_record(self, instance: Instance, ended: Ended, kind: str) -> None:
        record = ended.record
        details: EventDetails = {
            "record": record,
            "path": ended.path,
            "seconds": record.get("seconds"),
            "metrics": record.get("metrics"),
            "error": record.get("error"),
            "cache": record.get("cache"),
            "warnings": record.get("warnings"),
        }
        self._emit_of(instance, kind, **details)
        self.used.add(record)
        attempt = ended.attempt
        self.work.add(attempt.node, attempt.map_index, attempt.number, record, attempt)
        instance.take(ended)

    def _emit(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)


def _error_of(ended: Ended) -> ErrorPart:
    """Return why an attempt that did not succeed failed."""
    error = ended.record.get("error")
    if error is None:
        raise ValueError(f"{ended.path} is the record of a failure, and has no error")
    return error


def backoff(retry: RetrySetting, failed: int) -> float:
    """Seconds to wait after the failed attempt number ``failed`` (from 1)."""
    longest = retry.get("max_delay")
    delay = float(retry.get("delay") or 0.0)
    try:
        delay *= float(retry.get("backoff") or 1.0) ** (failed - 1)
    except OverflowError:
        delay = _YEAR
    return min(delay, _YEAR if longest is None else float(longest))


def _first(one: Failure | None, other: Failure | None) -> Failure | None:
    """The failure that plain Python would have met first."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda failure: failure.rank)
