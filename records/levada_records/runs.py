"""Reads one run from its store: how it was started, what its steps did, and how it ended.

A run is read lazily: `read_run` reads ``run.json`` alone. The run's folder is listed once, when its
attempts are asked for, and their records are read then, in parallel where the store is a bucket.
A document that is damaged, or that a newer Levada has written, is one of `Run.problems`; everything
else is read all the same.
"""

from __future__ import annotations

from levada import records, run_process, values
from levada.engine.events import node_label
from levada.store import unquote_name

from levada_records.documents import (
    Document,
    in_parallel,
    read_document,
    read_documents,
    read_json_blob,
)
from levada_records.plan_shape import problem_of
from levada_records.steps import DAMAGED, RUNNING, Attempt, MissingStep, Step, parse_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from levada.json_types import Json
    from levada.plan_types import Plan
    from levada.record_types import (
        OutcomeDocument,
        RunDocument,
        RunError,
        Series,
    )
    from levada.store import Store

    from levada_records.compare import Comparison
    from levada_records.steps import Place

__all__ = ["MissingRun", "MissingStep", "Run", "Step", "parse_step", "read_run"]

#: The folder of a run that has its tags and notes.
ANNOTATIONS = "annotations"


class MissingRun(LookupError):  # noqa: N818
    """The store has no such run."""


def read_run(store: Store, pipeline: str, run_id: str) -> Run:
    """Read a run by the name of its pipeline and its whole id.

    Raises MissingRun if the store has nothing of it, and StoreError if the store cannot be read.

    >>> run = read_run(open_store(".levada"), "churn", "20260101-060000-1f3a9c")
    >>> [(step.label, step.status) for step in run.steps]
    [('load', 'succeeded'), ('fit[0]', 'succeeded'), ('fit[1]', 'failed')]
    """
    run = Run(store, pipeline, run_id)
    if run.document is None and not run.files:
        raise MissingRun(f"the store {store.url} has no run {run_id} of {pipeline}")
    return run


class Run:
    """A run as its store has it.

    ``project`` is the root of the project whose classes its values may have. Without it, a value of
    a class is loaded only if the class is imported already.
    """

    def __init__(
        self, store: Store, pipeline: str, run_id: str, found: Document | None = None
    ) -> None:
        self.store = store
        self.pipeline = pipeline
        self.run_id = run_id
        self.folder = records.run_path(pipeline, run_id)
        self.project: str | None = None
        self._document = found
        self._sizes: dict[str, int] | None = None
        self._outcome: Document | None = None
        self._attempts: list[Attempt] | None = None
        self._steps: list[Step] | None = None
        self._annotations: list[Document] | None = None
        self._plan: tuple[Plan | None, str | None] | None = None

    @property
    def _found(self) -> Document:
        if self._document is None:
            self._document = read_document(self.store, f"{self.folder}/run.json", "run")
            if self._document.content is None and not self._document.problem:
                self._document.problem = f"{self._document.path} is missing"
        return self._document

    @property
    def document(self) -> RunDocument | None:
        """``run.json``; None if it cannot be read."""
        document: RunDocument | None = self._found.content
        return document

    @property
    def files(self) -> list[str]:
        """The paths of all that the store has of the run, relative to its folder, sorted."""
        return list(self.sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of these in bytes, when the run's folder was listed."""
        if self._sizes is None:
            below = len(self.folder) + 1
            self._sizes = dict(sorted((p[below:], n) for p, n in self.store.walk(self.folder)))
        return self._sizes

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
    def is_lost(self) -> bool:
        """Whether it can be told that it will never end: its process on this machine is gone."""
        process = self.document["engine"].get("process") if self.document is not None else None
        return self.is_running and process is not None and run_process.is_alive(process) is False

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

        Raises ArtifactError or MissingBlob if a value cannot be read, and StoreError.
        """
        outcome = self.outcome
        if outcome is None or outcome["status"] != records.SUCCEEDED:
            return None
        shown = [values.display(tree, self.store) for tree in outcome["outputs"]]
        return records.returned(outcome["kind"], outcome["names"], shown)

    def series(self, metric: str, map_index: int | tuple[int, ...] | None = None) -> Series:
        """Return all values of a metric, ``<node>.<metric>``, as columns: step, time and value.

        In a loop, ``map_index`` says of which item. Raises MissingStep if there is no such metric.

        >>> pandas.DataFrame(run.series("train.loss")).plot(x="step", y="value")
        """
        nodes = sorted({step.node for step in self.steps}, key=len, reverse=True)
        for node in nodes:
            name = metric.removeprefix(f"{node}.")
            if name != metric:
                found = self.step(node, map_index).series(name)
                if found is not None:
                    return {**found, "value": [float(value) for value in found["value"]]}
        near = ", ".join(self.metrics) or "none"
        raise MissingStep(f"run {self.run_id} has no metric {metric}; its metrics: {near}")

    def logs(
        self,
        node: str,
        map_index: int | tuple[int, ...] | None = None,
        *,
        attempt: int | None = None,
    ) -> str:
        """Return what a step wrote, by default in its last attempt. Raises MissingStep."""
        data = b"".join(self.step(node, map_index).log(attempt))
        return data.decode("utf-8", "replace")

    def compare(self, *others: Run) -> Comparison:
        """Return what differs between this run and others: the first of them is this one.

        >>> run.compare(runs.get("churn@best:metrics.train.auc")).params
        """
        from levada_records.compare import compare_runs

        return compare_runs([self, *others])

    @property
    def plan(self) -> Plan | None:
        """What the run was to do; None if that is not stored, as on Airflow and Kubeflow.

        None, too, if it cannot be read: `plan_problem` says why.
        """
        return self._read_plan()[0]

    @property
    def plan_problem(self) -> str | None:
        """Why there is no plan, in words; None if there is one."""
        return self._read_plan()[1]

    def _read_plan(self) -> tuple[Plan | None, str | None]:
        if self._plan is None:
            digest = self.document["plan"] if self.document is not None else None
            held = read_json_blob(self.store, digest) if digest else None
            if held is None:
                problem: str | None = (
                    "its plan is missing or damaged; runs of Airflow and Kubeflow store none"
                )
            else:
                problem = problem_of(held)
            self._plan = (held if problem is None else None, problem)
        return self._plan

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
        notes = [each.get("note") for each in self._annotations_in_order()]
        texts = [note for note in notes if isinstance(note, str)]
        return (texts[-1] or None) if texts else None  # an empty one removes those before it

    @note.setter
    def note(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a note must be a text, not {text!r}; an empty one removes it")
        self._annotate({}, text)

    def tag(self, tags: Mapping[str, str | None] | None = None, /, **named: str | None) -> None:
        """Give the run tags; a tag whose value is None is removed. Raises ValueError, StoreError.

        >>> run.tag(owner="mila", stage=None)
        """
        merged = {**(tags or {}), **named}
        for name, value in merged.items():
            if not isinstance(name, str):
                raise TypeError(f"the name of a tag must be a text, not {name!r}")
            if not isinstance(value, (str, type(None))):
                raise TypeError(f"the tag {name!r} must be a text or None, not {value!r}")
        self._annotate(merged, None)

    def _annotate(self, tags: Mapping[str, str | None], note: str | None) -> None:
        from warnings import warn

        from levada_records.annotations import annotate

        for warning in annotate(self.store, self.pipeline, self.run_id, tags, note):
            warn(warning, stacklevel=3)
        self._annotations = self._sizes = None  # read again when they are asked for

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

    def _repr_html_(self) -> str:
        from levada_records.html import run_html

        return run_html(self)

    def __repr__(self) -> str:
        return f"<run {self.run_id} of {self.pipeline}: {self.status}>"


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
