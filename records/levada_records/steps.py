"""The steps of a run: their attempts, what these did, and what they gave."""

from __future__ import annotations

from levada import metric_series, records
from levada.engine.events import node_label
from levada.log_reader import LogReader

from levada_records.documents import read_json_blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from levada.record_types import MetricEntry, Record, Series, StepEnd

    from levada_records.documents import Document
    from levada_records.outputs import Output
    from levada_records.runs import Run

    #: A node and the iteration of each loop around it.
    Place = tuple[str, tuple[int, ...]]

RUNNING = "running"
SKIPPED = "skipped"
DAMAGED = "damaged"


class MissingStep(LookupError):  # noqa: N818
    """The run has no such step."""


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
        return node_label(self.node, self.map_index, self.item or "")

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
        return RUNNING if self._run.is_running and not self._run.is_lost else records.FAILED

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
        """Return all values of a metric, or of a figure of the system; None if there is none.

        Raises StoreError if the store cannot be read.
        """
        entry = self.metrics.get(name)
        digest = entry.get("series") if entry is not None else self._system_series(name)
        if digest is not None:
            held = read_json_blob(self._run.store, digest)
            return _series(held.get(name)) if isinstance(held, dict) else None
        if entry is None:
            return None
        if entry.get("count", 1) > 1:
            return self.logged().get(name)
        return {"step": [entry["step"]], "time": [entry["time"]], "value": [entry["value"]]}

    def _system_series(self, name: str) -> str | None:
        system = self.record.get("system") if self.record is not None else None
        return system[name].get("series") if system and name in system else None

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

    @property
    def returns(self) -> Output | None:
        """What it returned; None if it has not succeeded."""
        record = self.record
        if record is None or record["returns"] is None:
            return None
        return self.output("")

    @property
    def outputs(self) -> Mapping[str, Output]:
        """Its named outputs, and what it stored with `log_artifact`, by name.

        >>> run.step("train").outputs["model"].load()
        """
        from levada_records.outputs import output_names

        return {name: self.output(name) for name in output_names(self)}

    def output(self, name: str) -> Output:
        """Return an output, or any field of what the step returned; without a name all of it.

        Raises MissingOutput, ArtifactError and StoreError.
        """
        from levada_records.outputs import step_output

        return step_output(self._run, self, name)

    def log_end(self, most: int) -> tuple[bytes, bool]:
        """Return the last bytes of the last attempt's log, and whether there are more before.

        A log of any size is read from its end only. Raises StoreError.
        """
        last = self.last
        if last is None:
            return b"", False
        if "log" in last.files:
            size = self._run.sizes[f"{last.folder}/log".removeprefix(f"{self._run.folder}/")]
            try:
                with self._run.store.open_at(f"{last.folder}/log", max(0, size - most)) as file:
                    return file.read(most), size > most
            except FileNotFoundError:
                return b"", False
        end = b"".join(LogReader(self._run.store, last.folder).new())
        return end[-most:], len(end) > most

    def __repr__(self) -> str:
        return f"<step {self.label} of run {self._run.run_id}: {self.status}>"


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
