"""Reads one run from its store: how it was started, what its steps did, and how it ended.

A run is read lazily: `read_run` reads ``run.json`` alone. The run's folder is listed once, when its
attempts are asked for, and their records are read then, in parallel where the store is a bucket.
A document that is damaged, or that a newer Levada has written, is one of `Run.problems`; everything
else is read all the same.
"""

from __future__ import annotations

from levada import metric_series, records, values
from levada.engine.events import node_label
from levada.log_reader import LogReader
from levada.store import unquote_name

from levada_records.documents import (
    Document,
    in_parallel,
    read_document,
    read_documents,
    read_json_blob,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from levada.json_types import Json
    from levada.plan_types import Plan
    from levada.record_types import (
        MetricEntry,
        OutcomeDocument,
        Record,
        RunDocument,
        RunError,
        Series,
        StepEnd,
    )
    from levada.store import Store

    #: A node and the iteration of each loop around it.
    Place = tuple[str, tuple[int, ...]]

RUNNING = "running"
SKIPPED = "skipped"
DAMAGED = "damaged"
#: The folder of a run that has its tags and notes.
ANNOTATIONS = "annotations"


class MissingRun(LookupError):  # noqa: N818
    """The store has no such run."""


class MissingStep(LookupError):  # noqa: N818
    """The run has no such step."""


def read_run(store: Store, pipeline: str, run_id: str) -> Run:
    """Read a run by the name of its pipeline and its whole id.

    Raises MissingRun if the store has nothing of it, and StoreError if the store cannot be read.

    >>> run = read_run(open_store(".levada"), "churn", "20260101-060000-1f3a9c")
    >>> [(step.label, step.status) for step in run.steps]
    [('load', 'succeeded'), ('fit[0]', 'succeeded'), ('fit[1]', 'failed')]
    """
    folder = records.run_path(pipeline, run_id)
    found = read_document(store, f"{folder}/run.json", "run")
    run = Run(store, pipeline, run_id, found)
    if found.content is None and not found.problem:
        if not run.files:
            raise MissingRun(f"the store {store.url} has no run {run_id} of {pipeline}")
        found.problem = f"{found.path} is missing"
    return run


class Attempt:
    """One attempt of a step: its ``record``, or the ``problem`` why there is none that can be read.

    Without a record and without a problem it still runs, or its process ended without a word.
    """

    __slots__ = ("files", "folder", "map_index", "node", "number", "problem", "record")

    def __init__(self, node: str, map_index: tuple[int, ...], number: int, folder: str) -> None:
        self.node = node
        self.map_index = map_index
        self.number = number
        self.folder = folder  #: path in the store
        self.files: set[str] = set()
        self.record: Record | None = None
        self.problem = ""

    def take(self, found: Document) -> None:
        """Take the record that was found, if it is one of this attempt."""
        record, self.problem = found.content, found.problem
        if record is None:
            return
        place = (record["node"], tuple(record["map_index"] or ()), record["attempt"])
        if place == (self.node, self.map_index, self.number):
            self.record = record
        else:
            self.problem = f"{found.path} is damaged: it is the record of another attempt"


class Step:
    """What a run did at one node, in one iteration of the loops around it."""

    __slots__ = ("_end", "_run", "attempts", "map_index", "node")

    def __init__(
        self, run: Run, place: Place, attempts: list[Attempt], end: StepEnd | None = None
    ) -> None:
        self._run = run
        self.node, self.map_index = place
        self.attempts = attempts  #: in order
        self._end = end  #: what the outcome of the run says of it

    @property
    def label(self) -> str:
        """The step by its iteration: ``train``, ``sub.fit[0.3]``."""
        return node_label(self.node, self.map_index)

    @property
    def item(self) -> str | None:
        """The item of the loops around it, for people: ``lr=0.1, depth=4``; None outside."""
        said: Any = self.record if self.record is not None else self._end
        label = said.get("label") if said is not None else None
        return label if isinstance(label, str) and label else None

    @property
    def name(self) -> str:
        """The step by the item of its loops, ``fit[lr=0.1]``, else as `label` has it."""
        return f"{self.node}[{self.item}]" if self.item and self.map_index else self.label

    @property
    def last(self) -> Attempt | None:
        """The last attempt; None if the step was skipped."""
        return self.attempts[-1] if self.attempts else None

    @property
    def record(self) -> Record | None:
        """The record of the last attempt that has one which can be read."""
        found = (each.record for each in reversed(self.attempts) if each.record is not None)
        return next(found, None)

    @property
    def status(self) -> str:
        """How it ended: that of a record, ``skipped``, ``running``, or ``damaged``."""
        last = self.last
        if last is not None and last.record is not None:
            return last.record["status"]
        if self._end is not None:
            return self._end["status"]
        if last is None:
            return SKIPPED
        if last.problem:
            return DAMAGED
        return RUNNING if self._run.is_running else records.FAILED

    @property
    def problem(self) -> str:
        """What cannot be read of the last attempt, or why there is nothing to read."""
        last = self.last
        if last is None or last.record is not None:
            return ""
        if not last.problem and self.status == records.FAILED:
            return "its last attempt ended without a record"
        return last.problem

    @property
    def is_cached(self) -> bool:
        """Whether it took the result of an earlier run."""
        record = self.record
        cache = record["cache"] if record is not None else None
        if record is None and self._end is not None:
            return self._end["cached"]
        return bool(cache and cache["hit"])

    @property
    def started(self) -> str | None:
        """When the first attempt started, as its record says."""
        return next((each.record["started"] for each in self.attempts if each.record), None)

    @property
    def finished(self) -> str | None:
        """When the last attempt ended."""
        last = self.last
        return last.record["finished"] if last is not None and last.record is not None else None

    @property
    def seconds(self) -> float | None:
        """What its attempts took together; None if no record says it."""
        known = [each.record["seconds"] for each in self.attempts if each.record is not None]
        if not known and self._end is not None and self.attempts:
            return self._end["seconds"]
        return round(sum(known), 6) if known else None

    @property
    def attempt_count(self) -> int:
        """How many attempts there were; of a step that was taken from another run, as it says."""
        return max(len(self.attempts), self._end["attempts"] if self._end else 0)

    @property
    def metrics(self) -> dict[str, MetricEntry]:
        """The metrics by name: of a record, or of a step that runs what it has logged so far."""
        record = self.record
        last = self.last
        if last is None or (record is not None and last.record is record):
            return {each["name"]: each for each in record["metrics"]} if record is not None else {}
        return {name: _entry(name, each) for name, each in self.logged().items()}

    def series(self, name: str) -> Series | None:
        """Return all values of a metric; None if the step logged none of that name.

        Raises StoreError if the store cannot be read.
        """
        entry = self.metrics.get(name)
        if entry is None:
            return None
        if "series" in entry:
            held = read_json_blob(self._run.store, entry["series"])
            return _series(held.get(name)) if isinstance(held, dict) else None
        if entry.get("count", 1) > 1:
            return self.logged().get(name)
        return {"step": [entry["step"]], "time": [entry["time"]], "value": [entry["value"]]}

    def logged(self) -> dict[str, Series]:
        """Return the metrics that the last attempt has logged while it runs, by name."""
        found: dict[str, Series] = {}
        if self.last is None:
            return found
        reader = LogReader(self._run.store, self.last.folder, metric_series.FILE)
        for each in metric_series.lines(reader.new()):
            series = found.setdefault(each["name"], {"step": [], "time": [], "value": []})
            series["step"].append(each["step"])
            series["time"].append(each["time"])
            series["value"].append(each["value"])
        return found

    def log(self, attempt: int | None = None) -> Iterator[bytes]:
        """Yield what an attempt wrote, by default the last one, in pieces.

        Raises MissingStep if there is no such attempt, and StoreError.
        """
        numbers = [each.number for each in self.attempts]
        if attempt is None and numbers:
            attempt = numbers[-1]
        for each in self.attempts:
            if each.number == attempt:
                return LogReader(self._run.store, each.folder).new()
        there = f"; it has {', '.join(map(str, numbers))}" if numbers else ": it did not start"
        raise MissingStep(f"{self.label} has no attempt {attempt or 1}{there}")

    def __repr__(self) -> str:
        return f"<step {self.label} of run {self._run.run_id}: {self.status}>"


class Run:
    """A run as its store has it."""

    def __init__(self, store: Store, pipeline: str, run_id: str, found: Document) -> None:
        self.store = store
        self.pipeline = pipeline
        self.run_id = run_id
        self.folder = records.run_path(pipeline, run_id)
        self._found = found
        self._files: list[str] | None = None
        self._outcome: Document | None = None
        self._attempts: list[Attempt] | None = None
        self._steps: list[Step] | None = None
        self._annotations: list[Document] | None = None
        self._plan: tuple[Plan | None] | None = None

    @property
    def document(self) -> RunDocument | None:
        """``run.json``; None if it cannot be read."""
        document: RunDocument | None = self._found.content
        return document

    @property
    def files(self) -> list[str]:
        """The paths of all that the store has of the run, relative to its folder, sorted."""
        if self._files is None:
            below = len(self.folder) + 1
            self._files = sorted(path[below:] for path, _ in self.store.walk(self.folder))
        return self._files

    @property
    def outcome(self) -> OutcomeDocument | None:
        """How the run ended, the last time that it did; None if it has not."""
        document: OutcomeDocument | None = self._read_outcome().content
        return document

    def _read_outcome(self) -> Document:
        if self._outcome is None:
            numbers = [number for name in self.files if (number := _outcome_number(name))]
            last = max(numbers, default=1)
            name = f"outcome.{last}.json" if last > 1 else "outcome.json"
            path = f"{self.folder}/{name}"
            self._outcome = (
                read_document(self.store, path, "outcome") if numbers else Document(path)
            )
        return self._outcome

    # ---------------------------------------------------------------- state

    @property
    def status(self) -> str:
        """``succeeded``, ``failed`` or ``cancelled``, else ``running`` or ``damaged``."""
        if self.document is None or self._read_outcome().problem:
            return DAMAGED
        outcome = self.outcome
        return RUNNING if outcome is None else outcome["status"]

    @property
    def is_running(self) -> bool:
        """Whether there is no outcome: it runs, or its engine ended without a word."""
        found = self._read_outcome()
        return found.content is None and not found.problem

    @property
    def started(self) -> str | None:
        """When it started."""
        return self.document["created"] if self.document is not None else None

    @property
    def finished(self) -> str | None:
        """When it ended; None if it has not."""
        return self.outcome["finished"] if self.outcome is not None else None

    @property
    def seconds(self) -> float | None:
        """How long it took; None if it has not ended."""
        return self.outcome["seconds"] if self.outcome is not None else None

    @property
    def error(self) -> RunError | None:
        """Why it failed."""
        return self.outcome["error"] if self.outcome is not None else None

    @property
    def params(self) -> Mapping[str, object]:
        """Its parameters, as they are shown."""
        return self.document["parameters"]["display"] if self.document is not None else {}

    @property
    def metrics(self) -> dict[str, float | str]:
        """The last value of each metric by ``<node>.<metric>``: of a loop that of the last item."""
        found: dict[str, float | str] = {}
        for step in self.steps:
            for name, entry in step.metrics.items():
                found[f"{step.node}.{name}"] = entry["value"]
        return dict(sorted(found.items()))

    @property
    def problems(self) -> list[str]:
        """What cannot be read of the run, a sentence for each document."""
        listed = [self._found.problem, self._read_outcome().problem]
        listed += [each.problem for each in self.attempts]
        listed += [each.problem for each in self._read_annotations()]
        return [problem for problem in listed if problem]

    # ---------------------------------------------------------------- steps

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts that were started, with their records."""
        if self._attempts is None:
            found = self._find_attempts()
            ended = [each for each in found if "record.json" in each.files]
            paths = [records.record_path(each.folder) for each in ended]
            for each, document in zip(
                ended, read_documents(self.store, paths, "record"), strict=True
            ):
                each.take(document)
            self._attempts = found
        return self._attempts

    def _find_attempts(self) -> list[Attempt]:
        """Find the attempts by the names of their files: ``<node>/[<iteration>]/<number>/…``."""
        found: dict[str, Attempt] = {}
        for path in self.files:
            node, *rest = path.split("/")
            index: tuple[int, ...] = ()
            if rest and rest[0][:1] == "[" and rest[0][-1:] == "]":
                numbers = rest.pop(0)[1:-1].split(".")
                if not all(number.isdecimal() for number in numbers):
                    continue
                index = tuple(map(int, numbers))
            if len(rest) < 2 or not rest[0].isdecimal():
                continue
            folder = f"{self.folder}/{path.removesuffix('/' + '/'.join(rest[1:]))}"
            if folder not in found:
                try:
                    name = unquote_name(node)
                except ValueError:  # no name of Levada's
                    continue
                found[folder] = Attempt(name, index, int(rest[0]), folder)
            found[folder].files.add(rest[1])
        return sorted(found.values(), key=lambda each: (each.node, each.map_index, each.number))

    @property
    def steps(self) -> list[Step]:
        """The steps that were started or skipped, in the order of the source as far as it is known.

        That order is the outcome's, else the plan's, else the one in which the steps started.
        """
        if self._steps is None:
            attempts: dict[Place, list[Attempt]] = {}
            for each in self.attempts:
                attempts.setdefault((each.node, each.map_index), []).append(each)
            listed = self.outcome["steps"] if self.outcome is not None else []
            ends = {(end["node"], tuple(end["map_index"] or ())): end for end in listed}
            steps = [Step(self, place, attempts.pop(place, []), ends[place]) for place in ends]
            others = [Step(self, place, attempts[place]) for place in attempts]
            self._steps = steps + self._in_order(others)
        return self._steps

    def _in_order(self, steps: list[Step]) -> list[Step]:
        plan = self.plan if len(steps) > 1 else None
        places = {node: at for at, node in enumerate(_calls(plan["body"]))} if plan else {}
        first: dict[str, str] = {}
        for step in steps:
            began = step.started or "9"  # what runs comes after what has a time
            first[step.node] = min(first.get(step.node, began), began)
        return sorted(
            steps,
            key=lambda step: (
                places.get(step.node, len(places)),
                first[step.node],
                step.node,
                step.map_index,
            ),
        )

    def step(self, node: str, map_index: int | tuple[int, ...] | None = None) -> Step:
        """Return a step by its node, and of a loop by the iteration.

        Raises MissingStep, with what there is instead.
        """
        index = (map_index,) if isinstance(map_index, int) else tuple(map_index or ())
        of_node = [step for step in self.steps if step.node == node]
        for step in of_node:
            if step.map_index == index:
                return step
        raise MissingStep(self._no_step(node, index, of_node))

    def _no_step(self, node: str, index: tuple[int, ...], of_node: list[Step]) -> str:
        label = node_label(node, index)
        if not of_node:
            known = sorted({step.node for step in self.steps})
            there = f"it has {', '.join(known)}" if known else "no step has started"
            return f"run {self.run_id} has no step {label}; {there}"
        labels = [step.label for step in of_node]
        there = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
        return f"run {self.run_id} has no step {label}; it has {there}"

    # ---------------------------------------------------------------- what it gave

    def outputs(self) -> Json:
        """Return what the pipeline returned, as plain JSON; None if it has not succeeded.

        Raises ArtifactError if a value cannot be read, and StoreError.
        """
        outcome = self.outcome
        if outcome is None or outcome["status"] != records.SUCCEEDED:
            return None
        shown = [values.display(tree, self.store) for tree in outcome["outputs"]]
        return records.returned(outcome["kind"], outcome["names"], shown)

    @property
    def plan(self) -> Plan | None:
        """What the run was to do; None if that is not stored, as on Airflow and Kubeflow."""
        if self._plan is None:
            digest = self.document["plan"] if self.document is not None else None
            held = read_json_blob(self.store, digest) if digest else None
            is_plan = isinstance(held, dict) and isinstance(held.get("body"), list)
            self._plan = (held if is_plan else None,)
        return self._plan[0]

    # ---------------------------------------------------------------- tags and notes

    @property
    def tags(self) -> dict[str, str]:
        """The run's tags, those that were removed left out; sorted."""
        found: dict[str, str | None] = {}
        for each in self._annotations_in_order():
            found |= {
                name: value
                for name, value in (each.get("tags") or {}).items()
                if value is None or isinstance(value, str)
            }
        return {name: value for name, value in sorted(found.items()) if value is not None}

    @property
    def note(self) -> str | None:
        """The last note."""
        notes = [each["note"] for each in self._annotations_in_order() if each.get("note")]
        return str(notes[-1]) if notes else None

    def _annotations_in_order(self) -> list[dict[str, Any]]:
        """The documents with tags and notes, by time."""
        found = [each for each in self._read_annotations() if each.content is not None]
        return [each.content for each in sorted(found, key=_annotated)]

    def _read_annotations(self) -> list[Document]:
        if self._annotations is None:
            names = [name for name in self.files if _is_annotation(name)]
            self._annotations = in_parallel(self.store, self._annotation, names)
        return self._annotations

    def _annotation(self, name: str) -> Document:
        path = f"{self.folder}/{name}"
        try:
            found = records.parse_document(self.store.read(path))
        except FileNotFoundError:
            return Document(path)
        if found is None or not isinstance(found.get("tags") or {}, dict):
            return Document(path, problem=f"{path} is damaged: it is no annotation")
        return Document(path, found)

    def __repr__(self) -> str:
        return f"<run {self.run_id} of {self.pipeline}: {self.status}>"


def parse_step(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the node and the iteration of a step as people write it.

    Raises ValueError if it is not written so.

    >>> parse_step("sub.fit[0.3]")
    ('sub.fit', (0, 3))
    """
    node, bracket, rest = text.partition("[")
    if not bracket:
        return node, ()
    numbers = rest.removesuffix("]").replace(",", ".").split(".")
    if not rest.endswith("]") or not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(f"`{text}` is not a step; write one as `fit`, or `fit[2]` in a loop")
    return node, tuple(int(number) for number in numbers)


def _outcome_number(name: str) -> int | None:
    """The number of an outcome by the name of its file; None for another file."""
    if name == "outcome.json":
        return 1
    number = name.removeprefix("outcome.").removesuffix(".json")
    return int(number) if name == f"outcome.{number}.json" and number.isdecimal() else None


def _is_annotation(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return folder == ANNOTATIONS and "/" not in rest and rest.endswith(".json")


def _annotated(found: Document) -> tuple[str, str]:
    return str(found.content.get("time") or ""), found.path


def _calls(body: Any) -> Iterator[str]:
    """Yield the ids of the calls of a plan's body, in order. What is no node is left out."""
    for node in body if isinstance(body, list) else ():
        if not isinstance(node, dict):
            continue
        if node.get("kind") == "call":
            yield str(node.get("id"))
        for block in ("then", "otherwise", "body", "handler", "final"):
            yield from _calls(node.get(block))


def _series(held: Any) -> Series | None:
    """Check the series of a metric, which comes from the store."""
    if not isinstance(held, dict):
        return None
    columns: list[Any] = [held.get(name) for name in ("step", "time", "value")]
    if not all(isinstance(column, list) for column in columns):
        return None
    if len({len(column) for column in columns}) != 1:
        return None
    return {"step": columns[0], "time": columns[1], "value": columns[2]}


def _entry(name: str, series: Series) -> MetricEntry:
    """What a record will say of a metric that is still logged to."""
    last: MetricEntry = {
        "name": name,
        "value": series["value"][-1],
        "step": series["step"][-1],
        "time": series["time"][-1],
    }
    return last if len(series["value"]) == 1 else {**last, "count": len(series["value"])}
