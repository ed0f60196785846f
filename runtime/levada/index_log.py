"""The log of the index: a small document for each run that begins, ends, or is tagged or noted.

``index/log/<time>-<random>.json``, written once by whoever writes ``run.json`` or an outcome. A
client (`levada_records.index`) reads what is new in it and has the runs as rows of a table. The
documents of the run stay the truth: without its entries a run is found too, only later.

An entry is small, whatever the run was: there are limits for names, texts and digests.
"""

from __future__ import annotations

import json
import os
from time import gmtime, strftime, time_ns

from levada import records
from levada.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Literal, Protocol, TypeAlias

    from levada.plan_types import PlanStep
    from levada.record_types import (
        AnnotationDocument,
        IndexEntry,
        MetricEntry,
        OutcomeDocument,
        Record,
        RunCounts,
        RunDocument,
        RunError,
        ShortError,
        ShortMetric,
        StepEnd,
    )
    from levada.store import Store
    from levada.trees.tree_types import Tree

    #: A node, and the iteration of each loop around it.
    Key: TypeAlias = tuple[str, tuple[int, ...]]

    class GivenAttempt(Protocol):
        """What was to be run (`levada.engine.executor.Attempt`)."""

        step: PlanStep
        inputs: dict[str, Tree]


SCHEMA = "levada.index/1"
ANNOTATION_SCHEMA = "levada.annotation/1"
FOLDER = "index/log"
#: The tag of a run that `levada gc` has removed.
REMOVED = "removed"
#: Of an entry at most: names of metrics and steps, digests of inputs and of outputs, characters of
#: a text, bytes of a parameter as JSON. What is more is left out, and ``counts`` has all.
MOST_METRICS, MOST_STEPS, MOST_DIGESTS = 1000, 1000, 300
LONGEST_TEXT, LONGEST_VALUE = 1000, 4096
#: Records of a run that are read for its entry at most, where no engine has them in memory.
MOST_RECORDS = 1000
#: What begins the "step" of a task that only decides, or lists items: it is no step.
_OWN = "levada:"
_NAN = float("nan")
#: What a document may raise that fits its schema, but that Levada has not written.
_ODD = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


def write_started(store: Store, run: RunDocument) -> None:
    """Add a run that has begun to the log; where that fails, the store has a warning.

    >>> write_started(store, records.read_run(store, "runs/churn/20260102-150405-1f3a9c"))
    """
    _write_quietly(store, lambda: started(run))


def write_ended(store: Store, outcome: OutcomeDocument, work: RunWork | None = None) -> None:
    """Add the end of a run to the log; where that fails, the store has a warning.

    ``work`` is what the steps did; without it, their records are read from the store.
    """

    def entry() -> IndexEntry:
        place = (outcome["pipeline"], outcome["run_id"])
        return ended(outcome, stored_work(store, *place) if work is None else work)

    _write_quietly(store, entry)


def write_annotation(
    store: Store,
    pipeline: str,
    run_id: str,
    *,
    tags: Mapping[str, str | None],
    note: str | None,
    user: str | None,
) -> None:
    """Tag a run, or write a note at it; a tag whose value is None is removed.

    The run has the annotation as a document, so that the index can be built again from the runs
    alone. Raises StoreError if nothing was written; where the log alone cannot be written, the
    store has a warning.

    >>> write_annotation(store, "churn", run_id, tags={"owner": "mila"}, note=None, user="mila")
    """
    now = time_ns()
    name = f"{entry_time(now)}-{os.urandom(4).hex()}"
    annotation: AnnotationDocument = {
        "schema": ANNOTATION_SCHEMA,
        "pipeline": pipeline,
        "run_id": run_id,
        "time": records.timestamp(now),
        "user": user,
        "tags": {**tags},
        "note": note,
    }
    folder = f"{records.run_path(pipeline, run_id)}/annotations"
    store.write_once(f"{folder}/{name}.json", records.document(annotation))
    try:
        for entry in annotated(annotation):
            _write(store, f"{entry_time(now)}-{os.urandom(4).hex()}", entry)
    except (StoreError, OSError) as error:  # the run has it, and so has the next new index
        store.warn(
            f"it is written at the run, but the index of runs does not have it: {error};"
            " `levada runs --rebuild` reads it"
        )


def write_removed(store: Store, pipeline: str, run_id: str) -> None:
    """Tag a run in the log with `REMOVED` and the day: its documents go, its row stays.

    Where that fails, the store has a warning.

    >>> write_removed(store, "churn", run_id)
    """

    def entry() -> IndexEntry:
        annotation: AnnotationDocument = {
            "schema": ANNOTATION_SCHEMA,
            "pipeline": pipeline,
            "run_id": run_id,
            "time": records.timestamp(),
            "user": None,
            "tags": {REMOVED: records.timestamp()[:10]},
            "note": None,
        }
        return annotated(annotation)[0]

    _write_quietly(store, entry)


def _write_quietly(store: Store, make: Callable[[], IndexEntry]) -> None:
    """Write an entry; a run goes on without it."""
    try:
        _write(store, f"{entry_time(time_ns())}-{os.urandom(4).hex()}", make())
    # Documents of other writers may have any shape: the run does not fail with them.
    except Exception as error:  # noqa: BLE001
        store.warn(f"the run is not in the index of runs: {error}")


def _write(store: Store, name: str, entry: IndexEntry) -> None:
    store.write_once(f"{FOLDER}/{name}.json", records.document(entry))


def entry_time(nanoseconds: int) -> str:
    """Return a time in UTC as names of entries begin with it; they sort by it.

    >>> entry_time(1_767_366_245_000_001_000)
    '20260102T150405.000001Z'
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{strftime('%Y%m%dT%H%M%S', gmtime(seconds))}.{rest // 1000:06d}Z"


# ---------------------------------------------------------------- what an entry says


def started(run: RunDocument) -> IndexEntry:
    """Return the entry of a run that has begun, from its ``run.json``."""
    engine: Any = run["engine"]
    git: Any = run.get("git") or {}
    return {
        "schema": SCHEMA,
        "kind": "started",
        "pipeline": run["pipeline"],
        "run_id": run["run_id"],
        "started": run["created"],
        "engine": str(engine.get("name") or "local"),
        "engine_ids": {name: _short(value) for name, value in engine.items()},
        "environment": _text_or_none(engine.get("environment")),
        "trigger": run["trigger"],
        "user": run["user"],
        "params": {name: _short(value) for name, value in run["parameters"]["display"].items()},
        "commit": git.get("commit"),
        "branch": git.get("branch"),
        "dirty": git.get("dirty"),
        "plan": run["plan"],
        "source": run["source"],
    }


def ended(outcome: OutcomeDocument, work: RunWork) -> IndexEntry:
    """Return the entry of a run that has ended, from its outcome and what its steps did."""
    used: Mapping[str, Any] = outcome["resources"] or work.resources()
    return {
        "schema": SCHEMA,
        "kind": "ended",
        "pipeline": outcome["pipeline"],
        "run_id": outcome["run_id"],
        "status": outcome["status"],
        "finished": outcome["finished"],
        "seconds": outcome["seconds"],
        "metrics": work.metrics(),
        "code": work.code(),
        "inputs": work.digests("inputs"),
        "outputs": work.digests("outputs"),
        "counts": work.counts(outcome["steps"]),
        "error": _short_error(outcome["error"]),
        "peak_memory": used.get("peak_memory_bytes"),
        "cpu_seconds": used.get("cpu_seconds"),
    }


def annotated(annotation: AnnotationDocument) -> list[IndexEntry]:
    """Return the entries of an annotation: one for its tags, one for its note."""
    place: dict[str, Any] = {
        "schema": SCHEMA,
        "pipeline": annotation["pipeline"],
        "run_id": annotation["run_id"],
        "user": annotation["user"],
    }
    found: list[Any] = []
    if annotation["tags"]:
        found.append({**place, "kind": "tagged", "tags": annotation["tags"]})
    if annotation["note"] is not None:
        found.append({**place, "kind": "noted", "note": annotation["note"]})
    return found


def _short_error(error: RunError | None) -> ShortError | None:
    if error is None:
        return None
    return {
        "type": error["type"],
        "message": error["message"][:LONGEST_TEXT],
        "node": error["node"],
        "map_index": error["map_index"],
    }


def _short(value: Any) -> Any:
    """Return a value as it is, or the beginning of its JSON if that is long."""
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_TEXT]}…"


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


# ---------------------------------------------------------------- what the steps did


class _Call:
    """An attempt of a node in one iteration that failed: another one may follow."""

    __slots__ = ("metrics", "number", "status")

    def __init__(self, status: str, number: int, metrics: list[MetricEntry]) -> None:
        self.status = status
        self.number = number
        self.metrics = metrics


class RunWork:
    """What the steps of a run did, in short: one attempt after the other is added.

    It stays small where a run has 100,000 of them.
    """

    def __init__(self) -> None:
        self._failed: dict[Key, _Call] = {}
        self._metrics: dict[str, tuple[tuple[int, ...], ShortMetric]] = {}
        self._code: dict[str, str] = {}
        #: inputs and outputs as records have them
        self._held: dict[Key, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        self._counts: RunCounts = {
            "steps": 0,
            "cached": 0,
            "failed": 0,
            "skipped": 0,
            "attempts": 0,
            "inputs": 0,
            "outputs": 0,
        }
        self._peak: int | None = None
        self._cpu = 0.0
        #: attempts that were not added: there were too many of them
        self.unread = 0

    def add(
        self,
        node: str,
        map_index: Iterable[int],
        number: int,
        record: Mapping[str, Any],
        attempt: GivenAttempt | None = None,
    ) -> None:
        """Take the record of an attempt, or what is needed of it. The last attempt counts.

        ``attempt`` says what the record does not, where that is a `RecordEnd`.
        """
        key = (node, tuple(map_index))
        cache = record.get("cache")
        is_cached = bool(cache and cache["hit"])
        if record["status"] == records.SUCCEEDED:
            self._failed.pop(key, None)
            self._succeeded(key, number, record, is_cached=is_cached)
        else:
            metrics = record.get("metrics") or []
            self._failed[key] = _Call(str(record["status"]), number, metrics)
        self._take_code(record, attempt)
        if not is_cached:
            self._use(record.get("resources") or {})
        self._hold(key, record, attempt)

    def _succeeded(
        self, key: Key, number: int, record: Mapping[str, Any], *, is_cached: bool
    ) -> None:
        if not str(record.get("step") or "").startswith(_OWN):
            self._counts["steps"] += 1
            self._counts["attempts"] += number
            self._counts["cached"] += is_cached
        self._take_metrics(self._metrics, key, record.get("metrics") or [])

    def _take_metrics(
        self,
        found: dict[str, tuple[tuple[int, ...], ShortMetric]],
        key: Key,
        metrics: list[MetricEntry],
    ) -> None:
        node, index = key
        for metric in metrics:
            name = f"{node}.{metric['name']}"
            if name in found:
                known = found[name]
                joined = _joined(known[1], metric, is_later=index >= known[0])
                found[name] = (max(index, known[0]), joined)
            elif len(found) < MOST_METRICS:
                found[name] = (index, _joined(None, metric, is_later=True))

    def _take_code(self, record: Mapping[str, Any], attempt: GivenAttempt | None) -> None:
        step, code = record.get("step"), (record.get("code") or {}).get("digest")
        if attempt is not None and not step:
            plan = attempt.step
            step, code = f"{plan.get('module')}:{plan.get('function')}", plan.get("code")
        if step and code:
            self._code[step] = code

    def _use(self, used: Mapping[str, Any]) -> None:
        if "peak_memory_bytes" in used:
            self._peak = max(self._peak or 0, used["peak_memory_bytes"])
        self._cpu += used.get("cpu_user_seconds", 0.0) + used.get("cpu_system_seconds", 0.0)

    def _hold(self, key: Key, record: Mapping[str, Any], attempt: GivenAttempt | None) -> None:
        """Keep what was given and returned, of as many calls as an entry may have."""
        inputs: dict[str, Any] = {**(record.get("inputs") or {})}
        if not inputs and attempt is not None:
            inputs = {name: {"tree": tree} for name, tree in attempt.inputs.items()}
        outputs = {f".{name}": each for name, each in (record.get("outputs") or {}).items()}
        if record.get("returns"):
            outputs[""] = {"artifact": record["returns"]}
        if key not in self._held:
            self._counts["inputs"] += len(inputs)
            self._counts["outputs"] += len(outputs)
        self._held[key] = (inputs, outputs)
        if len(self._held) > 2 * MOST_DIGESTS:
            self._held = dict(sorted(self._held.items())[:MOST_DIGESTS])

    # ---------------------------------------------------------------- for the entry

    def resources(self) -> dict[str, Any]:
        """Return the peak memory of the largest attempt and the CPU time of all."""
        peak = {} if self._peak is None else {"peak_memory_bytes": self._peak}
        return {**peak, "cpu_seconds": round(self._cpu, 6)}

    def metrics(self) -> dict[str, ShortMetric]:
        """Return the metrics by ``<step>.<metric>``, of a loop all iterations together."""
        found = {**self._metrics}
        for key, call in sorted(self._failed.items()):
            self._take_metrics(found, key, call.metrics)
        return {name: found[name][1] for name in sorted(found)}

    def code(self) -> dict[str, str]:
        """Return the digest of each step's code, by ``module:function``."""
        return dict(sorted(self._code.items())[:MOST_STEPS])

    def digests(self, of: Literal["inputs", "outputs"]) -> dict[str, str]:
        """Return the digests of inputs or outputs by ``<node>[<index>].<name>``.

        What a step returned as a whole has the name of its node.
        """
        found: dict[str, str] = {}
        for (node, index), held in sorted(self._held.items()):
            label = f"{node}[{'.'.join(map(str, index))}]" if index else node
            separator, entries = (".", held[0]) if of == "inputs" else ("", held[1])
            if len(found) + len(entries) > MOST_DIGESTS:
                break
            for name, each in entries.items():
                digest = _digest_or_none(each)
                if digest is not None:
                    found[f"{label}{separator}{name}"] = digest
        return found

    def counts(self, steps: list[StepEnd]) -> RunCounts:
        """Count calls and attempts, by an outcome's steps or, where it has none, by the records."""
        counts: RunCounts = {**self._counts}
        counts["steps"] += len(self._failed)
        counts["attempts"] += sum(call.number for call in self._failed.values())
        counts["failed"] = sum(each.status == records.FAILED for each in self._failed.values())
        if steps:
            counts["steps"] = sum(each["status"] != "skipped" for each in steps)
            counts["cached"] = sum(each["cached"] for each in steps)
            counts["failed"] = sum(each["status"] == records.FAILED for each in steps)
            counts["skipped"] = sum(each["status"] == "skipped" for each in steps)
            counts["attempts"] = sum(each["attempts"] for each in steps)
        if self.unread:
            counts["unread"] = self.unread
        return counts


def _digest_or_none(entry: Mapping[str, Any]) -> str | None:
    """Return what `_digest` does; None of a damaged value, which hides no other one."""
    from levada.artifact import ArtifactError

    try:
        return _digest(entry)
    except (ArtifactError, *_ODD):
        return None


def _digest(entry: Mapping[str, Any]) -> str:
    """Return the digest of an input or output, as its blob has it."""
    from levada import values
    from levada.trees.canonical import artifact_of

    if "artifact" in entry:
        return str(entry["artifact"]["digest"])
    if "digest" in entry:  # an input of a record; its tree may be masked
        return str(entry["digest"])
    leaf = artifact_of(entry["tree"])
    return values.digest(entry["tree"]) if leaf is None else leaf.digest


def _joined(known: ShortMetric | None, metric: MetricEntry, *, is_later: bool) -> ShortMetric:
    """Return a metric with what one more iteration of a loop logged."""
    value = metric["value"]
    held = [metric.get("min", value), metric.get("max", value)]
    count = metric.get("count", 1)
    if known is not None:
        held += [known["min"], known["max"]]
        count += known["count"]
        value = value if is_later else known["last"]
    numbers = [number for each in held if (number := float(each)) == number]
    least, largest = (min(numbers), max(numbers)) if numbers else (_NAN, _NAN)
    return {"last": value, "min": _json(least), "max": _json(largest), "count": count}


def _json(number: float) -> float | str:
    """Return a number as JSON has it: what is not finite is a text."""
    if number - number == 0:
        return number
    return "NaN" if number != number else ("Infinity" if number > 0 else "-Infinity")


def stored_work(store: Store, pipeline: str, run_id: str) -> RunWork:
    """Read what the steps of a run did from the records of their last attempts.

    At most MOST_RECORDS are read. Raises StoreError.
    """
    work = RunWork()
    folder = records.run_path(pipeline, run_id)
    last: dict[str, int] = {}
    for path, _ in store.walk(folder):
        node, _, number = path.removesuffix("/record.json").rpartition("/")
        if path.endswith("/record.json") and number.isdecimal():
            last[node] = max(last.get(node, 0), int(number))
    paths = [records.record_path(f"{node}/{last[node]}") for node in sorted(last)]
    work.unread = max(0, len(paths) - MOST_RECORDS)
    for data in store.read_each(paths[:MOST_RECORDS]):
        record: Record | None = records.parse_json(data or b"", "record")
        if record is None:
            continue
        try:
            work.add(record["node"], record["map_index"] or (), record["attempt"], record)
        except _ODD:  # a number that is none, as of a metric of 400 digits
            work.unread += 1
    return work
