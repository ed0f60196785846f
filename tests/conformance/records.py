"""The trace of a run that left its records in a store: the same for every engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from levada.records import read_outcome, run_path
from levada.store import Store, open_store

from tests.conformance.trace import StepRun, Trace, digest


def records(store_url: str, pipeline: str, run_id: str) -> list[dict[str, Any]]:
    """The record of the last attempt of every node and iteration."""
    last = {}
    for record in sorted(_all_records(store_url, pipeline, run_id), key=lambda r: r["attempt"]):
        last[record["node"], tuple(record["map_index"] or ())] = record
    return list(last.values())


def _all_records(store_url: str, pipeline: str, run_id: str) -> Iterator[dict[str, Any]]:
    store = open_store(store_url)
    for path, _ in store.walk(run_path(pipeline, run_id)):
        if path.endswith("/record.json"):
            yield json.loads(store.read(path))


def run_folder(store: str, pipeline: str, run_id: str) -> Path:
    """Where a run's records are."""
    return Path(store, "runs", pipeline, quote(run_id, safe="._+:@=-"))


def outputs(store_url: str, pipeline: str, run_id: str) -> list[Any]:
    """The trees of what a run returned; none if it has left no outcome."""
    outcome = read_outcome(open_store(store_url), pipeline, run_id)
    return [] if outcome is None else list(outcome["outputs"])


def trace(store_url: str, pipeline: str, run_id: str, status: str, outputs: list[Any]) -> Trace:
    """`outputs` are the trees of what the run returned, in order."""
    store = open_store(store_url)
    outcome = read_outcome(store, pipeline, run_id)
    assert outcome is not None, "the run has left no outcome.json"
    assert outcome["status"] == status, outcome
    found = records(store_url, pipeline, run_id)
    runs = tuple(_step_run(record, store) for record in found if _is_of_a_step(record))
    digests = tuple(digest(tree, store) for tree in outputs)
    return Trace(status, digests, runs, times(store_url, pipeline, run_id))


def times(
    store: str, pipeline: str, run_id: str
) -> dict[tuple[str, tuple[int, ...]], tuple[str, str]]:
    """When the first attempt of every node and iteration began, and when the last one was over."""
    found: dict[tuple[str, tuple[int, ...]], tuple[str, str]] = {}
    for record in _all_records(store, pipeline, run_id):
        key = record["node"], tuple(record["map_index"] or ())
        began, over = found.get(key, (record["started"], record["finished"]))
        found[key] = min(began, record["started"]), max(over, record["finished"])
    return found


def _is_of_a_step(record: dict[str, Any]) -> bool:
    """Not the record of a decision that failed: plain Python has no step for that."""
    return not record["step"].startswith("levada:")


def _step_run(record: dict[str, Any], store: Store) -> StepRun:
    inputs = tuple(
        sorted((name, digest(tree_of(given), store)) for name, given in record["inputs"].items())
    )
    succeeded = record["status"] == "succeeded"
    returned = digest({"$artifact": record["returns"]}, store) if succeeded else ""
    return StepRun(record["step"], inputs, returned)


def tree_of(given: dict[str, Any]) -> Any:
    """An input as a record holds it: a tree, or an artifact."""
    return {"$artifact": given["artifact"]} if "artifact" in given else given["tree"]
