"""What a run came to."""

from __future__ import annotations

from levada import records, values
from levada.redaction import redact_json

from .events import node_label
from .instances import SKIPPED, SUCCEEDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.json_types import Json
    from levada.record_types import (
        ErrorPart,
        OfItem,
        OutcomeDocument,
        Record,
        RecordEnd,
        RunError,
        RunResources,
        Status,
        StepEnd,
    )
    from levada.store import Store
    from levada.trees.tree_types import Tree

    from .instances import Failure, Instance


class StepSummary:
    """What one call came to, in one iteration: ``status`` is succeeded, failed, cancelled or
    skipped; ``seconds`` is what its attempts took together.
    """  # noqa: D205

    __slots__ = (
        "attempts",
        "cached",
        "error",
        "item",
        "map_index",
        "node",
        "record",
        "seconds",
        "status",
    )

    def __init__(
        self,
        node: str,
        map_index: tuple[int, ...],
        status: str,
        attempts: int = 0,
        *,
        cached: bool = False,
        seconds: float = 0.0,
        error: ErrorPart | None = None,
        record: str | None = None,
        item: str = "",
    ) -> None:
        self.node = node
        self.map_index = map_index
        self.status = status
        self.attempts = attempts
        self.cached = cached
        self.seconds = seconds
        self.error = error
        #: path of the last attempt's record in the store
        self.record = record
        #: what people call the item of a loop (`levada.item_labels`)
        self.item = item

    @property
    def label(self) -> str:
        """``train[depth=4]``."""
        return node_label(self.node, self.map_index, self.item)

    def as_json(self) -> StepEnd:
        """The form in ``outcome.json`` and of ``run --json``."""
        label: OfItem = {"label": self.item} if self.item else {}
        return {
            "node": self.node,
            "map_index": list(self.map_index) or None,
            **label,
            "attempts": self.attempts,
            "status": self.status,
            "cached": self.cached,
            "seconds": round(self.seconds, 6),
            "record": self.record,
        }


class RunUse:
    """What the attempts of a run have used: the peak of the largest one, the CPU time of all."""

    __slots__ = ("_peak", "_seconds")

    def __init__(self) -> None:
        self._peak: int | None = None
        self._seconds = 0.0

    def add(self, record: Record | RecordEnd) -> None:
        """Count the attempt of a record, if it ran."""
        cache, used = record.get("cache"), record.get("resources") or {}
        if cache is not None and cache["hit"]:
            return
        if "peak_memory_bytes" in used:
            self._peak = max(self._peak or 0, used["peak_memory_bytes"])
        self._seconds += used.get("cpu_user_seconds", 0.0) + used.get("cpu_system_seconds", 0.0)

    def as_json(self) -> RunResources:
        """Return the form in ``outcome.json``."""
        peak: RunResources = {} if self._peak is None else {"peak_memory_bytes": self._peak}
        return {**peak, "cpu_seconds": round(self._seconds, 6)}


class Outcome:
    """The end of a run.

    ``status`` is succeeded, failed or cancelled. ``outputs`` are the trees of what the pipeline
    returned, in order; ``kind`` is how: ``none``, ``value``, ``tuple``, ``dict``, or a class
    (``module:Class``) with fields of their names. ``error`` is that of the failure that
    counts, with ``node``, ``map_index`` and ``context``, the failure during whose handling it came
    up. ``folder`` is the run's folder in the store.
    """

    __slots__ = (
        "error",
        "finished",
        "folder",
        "kind",
        "names",
        "outputs",
        "pipeline",
        "resources",
        "run_id",
        "seconds",
        "secrets",
        "status",
        "steps",
        "store",
    )

    def __init__(self, pipeline: str, run_id: str, folder: str, store: Store) -> None:
        self.pipeline = pipeline
        self.run_id = run_id
        self.folder = folder
        self.store = store
        self.status: Status = "succeeded"
        self.outputs: list[Tree] = []
        self.names: list[str] = []
        self.kind = "none"
        self.steps: list[StepSummary] = []
        self.error: RunError | None = None
        self.seconds = 0.0
        self.finished = ""
        #: peak_memory_bytes (of the largest attempt) and cpu_seconds (of all)
        self.resources: RunResources = {}
        #: values that are shown and written as `***`
        self.secrets: list[str] = []

    @property
    def cached(self) -> int:
        """How many calls came from the cache."""
        return sum(step.cached for step in self.steps)

    def displayed_outputs(self) -> Json:
        """The outputs as plain JSON: a list, an object by names, a value; None without any."""
        if self.status != "succeeded":
            return None
        shown = [values.display(tree, self.store) for tree in self.outputs]
        return records.returned(self.kind, self.names, redact_json(shown, self.secrets))

    def as_json(self) -> dict[str, object]:
        """What ``levada run --json`` prints."""
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "status": self.status,
            "outputs": self.displayed_outputs(),
            "steps": [step.as_json() for step in self.steps],
            "error": self.error,
            "seconds": round(self.seconds, 6),
            "store": self.store.url,
            "folder": self.folder,
        }

    def document(self) -> OutcomeDocument:
        """The run's ``outcome.json`` (``levada.outcome/2``)."""
        return records.outcome(
            self.pipeline,
            self.run_id,
            status=self.status,
            finished=self.finished,
            seconds=self.seconds,
            outputs=redact_json(self.outputs, self.secrets),
            names=self.names,
            kind=self.kind,
            steps=[step.as_json() for step in self.steps],
            error=self.error,
            resources=self.resources,
        )


def error_of(failure: Failure) -> RunError:
    """A failure's error with its place, its record, and its context in the same form."""
    label: OfItem = {"label": failure.label} if failure.label else {}
    return {
        **failure.error,
        "node": failure.node,
        "map_index": list(failure.map_index) or None,
        **label,
        "record": failure.record,
        "context": None if failure.context is None else error_of(failure.context),
    }


def summarise(
    instances: list[Instance], skipped: list[tuple[str, tuple[int, ...], str]]
) -> list[StepSummary]:
    """A summary of each call that was reached, in the order of the source, then of the others."""
    reached = [i for i in instances if i.state != SKIPPED]
    steps = [_summary(instance) for instance in sorted(reached, key=lambda i: i.order())]
    return steps + [StepSummary(node, index, SKIPPED, item=item) for node, index, item in skipped]


def _summary(instance: Instance) -> StepSummary:
    node, index = instance.key
    error = None if instance.failure is None else instance.failure.error
    status = instance.state
    if error is not None and error.get("kind") == "cancelled":
        status = "cancelled"
    return StepSummary(
        node,
        index,
        status,
        instance.number,
        cached=status == SUCCEEDED and instance.cached,
        seconds=instance.seconds,
        error=error,
        record=instance.path,
        item=instance.frame.label or "",
    )
