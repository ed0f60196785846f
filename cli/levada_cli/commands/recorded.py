"""What the step records say of a run somewhere else, where its store can be read from here."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from levada import metric_series, records, values
from levada.artifact import ArtifactError
from levada.log_reader import LogReader
from levada.store import StoreError, open_store
from levada_compiler.client import RUNNING
from levada_compiler.slotted import replace

from . import stores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from levada.record_types import MetricValue
    from levada.store import Store
    from levada_compiler.client import Run, StepState

    from .remote import Place


#: Records that are read at once.
_READERS = 16


#: The engine part that all records of local runs have in common.
LOCAL: Mapping[str, object] = {"name": "local"}


class Recorded:
    """The records of one run; nothing where the store cannot be read, or is another one."""

    def __init__(self, place: Place, run: Run) -> None:
        self._run = run
        self._store = _readable(place)
        self._read: set[str] = set()
        self._found: dict[str, list[dict[str, Any]]] = {}
        #: of steps that run: what reads their metrics, and the last value of each
        self._running: dict[tuple[Any, ...], tuple[LogReader, dict[str, Any]]] = {}

    def of(self, step: StepState) -> dict[str, Any] | None:
        """The record of the step's last attempt, told by the ids that the engine gave it."""
        if self._store is None or not step.engine:
            return None
        if step.engine == LOCAL:
            return self._of_local(step)
        found = self._matching(step)
        if found is None:
            self._look_again(self._store, step.node)
            found = self._matching(step)
        return found

    def _of_local(self, step: StepState) -> dict[str, Any] | None:
        """The record of the attempt itself: the local engine gives no ids."""
        if not step.attempt:
            return None
        place = self._run.pipeline, self._run.run_id, step.node, step.map_index
        return self._document(records.record_path(records.attempt_path(*place, step.attempt)))

    def outputs(self) -> tuple[Any] | None:
        """What the pipeline returned, in a tuple of one; None if that is not known."""
        if self._store is None:
            return None
        try:
            outcome = records.read_outcome(self._store, self._run.pipeline, self._run.run_id)
            if outcome is None:
                return None
            shown = [values.display(tree, self._store) for tree in outcome["outputs"]]
        except (StoreError, OSError, ArtifactError) as error:
            self._give_up(error)
            return None
        return (records.returned(outcome["kind"], outcome["names"], shown),)

    def enriched(self, step: StepState) -> StepState:
        """The step with what its record says better than the engine."""
        record = self.of(step)
        if record is None:
            return step
        error = record.get("error")
        reason = f"{error['type']}: {error['message']}" if error else step.reason
        return replace(
            step,
            cached=step.status == "succeeded" and bool((record.get("cache") or {}).get("hit")),
            reason=reason if step.status in ("failed", "retrying") else step.reason,
            label=step.label or (str(record.get("label") or "") if step.map_index else ""),
        )

    def labelled(self, steps: Sequence[StepState]) -> list[StepState]:
        """The steps, those of loops with what their records call the items.

        Some engines know an item by its index only.
        """
        from concurrent.futures import ThreadPoolExecutor

        unknown = [step for step in steps if step.map_index and step.attempt and not step.label]
        unknown = [step for step in unknown if not step.engine and not step.is_control]
        if self._store is None or not unknown:
            return list(steps)
        # In a bucket each of them is a request.
        with ThreadPoolExecutor(min(_READERS, len(unknown))) as pool:
            found = dict(zip(map(id, unknown), pool.map(self._label, unknown), strict=True))
        return [replace(step, label=found.get(id(step), step.label)) for step in steps]

    def _label(self, step: StepState) -> str:
        place = self._run.pipeline, self._run.run_id, step.node, step.map_index
        record = self._document(records.record_path(records.attempt_path(*place, step.attempt)))
        return str((record or {}).get("label") or "")

    def metrics(self, step: StepState) -> dict[str, Any]:
        """The last value of each metric that the step has logged so far."""
        record = self.of(step)
        return self._logged(step) if record is None else _last(record["metrics"])

    def _logged(self, step: StepState) -> dict[str, Any]:
        """What a step that runs has logged."""
        if self._store is None or step.status != RUNNING or not step.attempt:
            return {}
        key = step.node, step.map_index, step.attempt
        if key not in self._running:
            place = self._run.pipeline, self._run.run_id, step.node, step.map_index
            folder = records.attempt_path(*place, step.attempt)
            self._running[key] = LogReader(self._store, folder, metric_series.FILE), {}
        reader, found = self._running[key]
        try:
            found |= _last(metric_series.lines(reader.new()))
        except (StoreError, OSError) as error:
            self._give_up(error)
        return found

    def _matching(self, step: StepState) -> dict[str, Any] | None:
        found = self._found.get(step.node, [])
        for record in found[::-1]:  # the last one, where a run was done anew
            ids = record.get("engine") or {}
            if all(ids.get(name) == value for name, value in step.engine.items()):
                return record
        return None

    def _look_again(self, store: Store, node: str) -> None:
        """Read the records of a node that were not there before."""
        for path in self._paths(store, node):
            if path not in self._read and (record := self._document(records.record_path(path))):
                self._read.add(path)
                self._found.setdefault(node, []).append(record)

    def _paths(self, store: Store, node: str) -> Iterator[str]:
        pipeline, run_id = self._run.pipeline, self._run.run_id
        try:
            for index in (None, *records.map_indexes(store, pipeline, run_id, node)):
                for attempt in records.attempts(store, pipeline, run_id, node, index):
                    yield records.attempt_path(pipeline, run_id, node, index, attempt)
        except (StoreError, OSError) as error:
            self._give_up(error)

    def _document(self, path: str) -> dict[str, Any] | None:
        try:
            return None if self._store is None else records.read_json(self._store, path, "record")
        except (StoreError, OSError) as error:
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        sys.stderr.write(f"warning: the store cannot be read from here: {error}\n")
        self._store = None


def _last(metrics: Iterable[MetricValue]) -> dict[str, Any]:
    return {metric["name"]: metric["value"] for metric in metrics}


def _readable(place: Place) -> Store | None:
    """The store, if there is one to read here: a run is somebody else's, so there may be none."""
    url = str(place.options.get("store") or stores.url(place.project))
    if "://" not in url:
        url = os.path.join(place.project.root, os.path.expanduser(url))
        if not os.path.isdir(url):
            return None
    try:
        return open_store(url)
    except (StoreError, OSError) as error:
        sys.stderr.write(f"warning: the store cannot be read from here: {error}\n")
        return None
