"""Where the documents of a run are in the store, and how they are written and found again.

Records are immutable: the first one that is written for an attempt stays.
"""

from __future__ import annotations

import json
from time import gmtime, strftime, time_ns

from levada import document_schemas
from levada.store import quote_name, unquote_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Literal

    from levada.json_types import Json
    from levada.record_types import (
        OutcomeDocument,
        Record,
        RunDocument,
        RunError,
        RunResources,
        Status,
        StepEnd,
    )
    from levada.store import Store
    from levada.trees.tree_types import Tree

RECORD_SCHEMA = "levada.record/1"
RUN_SCHEMA = "levada.run/1"
OUTCOME_SCHEMA = "levada.outcome/2"

SUCCEEDED: Literal["succeeded"] = "succeeded"
FAILED: Literal["failed"] = "failed"
CANCELLED: Literal["cancelled"] = "cancelled"


def timestamp(nanoseconds: int | None = None) -> str:
    """Give a time, now by default, as ISO 8601 in UTC with microseconds."""
    value = time_ns() if nanoseconds is None else nanoseconds
    seconds, rest = divmod(value, 1_000_000_000)
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(seconds))}.{rest // 1000:06d}Z"


def run_path(pipeline: str, run_id: str) -> str:
    """Give the folder of a run."""
    return f"runs/{quote_name(pipeline)}/{quote_name(run_id)}"


def node_path(pipeline: str, run_id: str, node: str, map_index: Sequence[int] | None) -> str:
    """Give the folder of a node, in one iteration of the loops around it."""
    path = f"{run_path(pipeline, run_id)}/{quote_name(node)}"
    return f"{path}/[{'.'.join(map(str, map_index))}]" if map_index else path


def attempt_path(
    pipeline: str, run_id: str, node: str, map_index: Sequence[int] | None, attempt: int
) -> str:
    """Give the folder of an attempt: ``record.json`` and ``log`` are in it."""
    return f"{node_path(pipeline, run_id, node, map_index)}/{attempt}"


def record_path(attempt: str) -> str:
    """Give the path of the record of an attempt, of whose folder this is the path."""
    return f"{attempt}/record.json"


def damaged_record(
    store: Store, pipeline: str, run_id: str, node: str, map_index: Sequence[int] | None
) -> str:
    """Return the path of the last record of a node if it is damaged, else an empty text."""
    numbers = attempts(store, pipeline, run_id, node, map_index)
    if not numbers:
        return ""
    folder = attempt_path(pipeline, run_id, node, map_index, numbers[-1])
    is_there = "record.json" in store.list(folder)
    return record_path(folder) if is_there and read_record(store, folder) is None else ""


# `Any` is for the step command, which still takes records as plain dicts.
def read_record(store: Store, attempt: str) -> Any:
    """Read the `Record` in the folder of an attempt; None if there is none."""
    return read_json(store, record_path(attempt), "record")


def read_run(store: Store, run: str) -> RunDocument | None:
    """Read the ``run.json`` in the folder of a run; None if there is none."""
    document: RunDocument | None = read_json(store, f"{run}/run.json", "run")
    return document


def write_record(store: Store, record: Mapping[str, Any]) -> str:
    """Write the record of an attempt unless it has one; gives its path. Raises StoreError."""
    place = (record["pipeline"], record["run_id"], record["node"], record["map_index"])
    path = record_path(attempt_path(*place, record["attempt"]))
    store.write_once(path, document(record))
    return path


def write_outcome(store: Store, ended: Mapping[str, Any]) -> None:
    """Write how a run ended; where it ended before and was started over, beside that."""
    folder = run_path(ended["pipeline"], ended["run_id"])
    number = len(_outcomes(store, folder)) + 1
    while not store.write_once(f"{folder}/{_outcome_name(number)}", document(ended)):
        number += 1


def outcome(
    pipeline: str,
    run_id: str,
    *,
    status: Status = SUCCEEDED,
    finished: str | None = None,
    seconds: float = 0.0,
    outputs: list[Tree] | None = None,
    names: list[str] | None = None,
    kind: str = "none",
    steps: list[StepEnd] | None = None,
    error: RunError | None = None,
    resources: RunResources | None = None,
) -> OutcomeDocument:
    """Return how a run ended: by default well, just now, and with nothing returned."""
    return {
        "schema": OUTCOME_SCHEMA,
        "pipeline": pipeline,
        "run_id": run_id,
        "status": status,
        "finished": finished or timestamp(),
        "seconds": round(seconds, 6),
        "outputs": outputs or [],
        "names": names or [],
        "kind": kind,
        "steps": steps or [],
        "error": error,
        "resources": resources or {},
    }


def read_outcome(store: Store, pipeline: str, run_id: str) -> OutcomeDocument | None:
    """Read how a run ended, the last time that it did; None if it has not."""
    path = last_outcome(store, pipeline, run_id)
    ended: OutcomeDocument | None = None if path is None else read_json(store, path, "outcome")
    return ended


def last_outcome(store: Store, pipeline: str, run_id: str) -> str | None:
    """Give the path of a run's last outcome, whatever is in it; None if the run has none."""
    folder = run_path(pipeline, run_id)
    found = _outcomes(store, folder)
    return f"{folder}/{_outcome_name(max(found))}" if found else None


def returned(kind: str, names: list[str], shown: list[Json]) -> Json:
    """Give what a pipeline returned as plain JSON, of its outputs as such."""
    if kind in ("none", "value"):
        return shown[0] if shown else None
    return shown if kind == "tuple" else dict(zip(names, shown, strict=False))


def _outcomes(store: Store, folder: str) -> list[int]:
    """Give the numbers of the outcomes of a run."""
    parts = [name.split(".") for name in store.list(folder)]
    found = [p[1:-1] or ["1"] for p in parts if p[0] == "outcome" and p[-1] == "json"]
    return [int(number) for number, *more in found if number.isdecimal() and not more]


def _outcome_name(number: int) -> str:
    return f"outcome.{number}.json" if number > 1 else "outcome.json"


def document(content: Mapping[str, object]) -> bytes:
    """Give a document's bytes: JSON, one field a line at the top."""
    lines = (f"{json.dumps(name)}: {_compact(value)}" for name, value in content.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "backslashreplace")


def read_document(store: Store, path: str) -> dict[str, Any] | None:
    """Read a document; None if it is not there or is not whole: no JSON object."""
    try:
        return parse_document(store.read(path))
    except FileNotFoundError:
        return None


def parse_document(data: bytes) -> dict[str, Any] | None:
    """Return the document of some bytes; None if these are no JSON object."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_json(store: Store, path: str, schema: str) -> Any:
    """Read a document of a schema (`document_schemas.fits`); None also if it does not fit."""
    try:
        return parse_json(store.read(path), schema)
    except FileNotFoundError:
        return None


def parse_json(data: bytes, schema: str) -> Any:
    """Return the document of some bytes if it is whole and fits a schema; else None."""
    content = parse_document(data)
    return content if document_schemas.fits(content, schema) else None


def has_node(store: Store, pipeline: str, run_id: str, node: str) -> bool:
    """Whether the node was started in this run."""
    return bool(store.list(f"{run_path(pipeline, run_id)}/{quote_name(node)}"))


def map_indexes(store: Store, pipeline: str, run_id: str, node: str) -> list[tuple[int, ...]]:
    """Give the iterations that a node in loops was started in, in order."""
    names = store.list(f"{run_path(pipeline, run_id)}/{quote_name(node)}")
    found = (name[1:-1].split(".") for name in names if name[:1] == "[" and name[-1:] == "]")
    return sorted(tuple(map(int, parts)) for parts in found if all(p.isdecimal() for p in parts))


#: The document by which an attempt is there before its log is: in a bucket folders are nothing.
STARTED = "started"


def attempts(
    store: Store, pipeline: str, run_id: str, node: str, map_index: Sequence[int] | None
) -> list[int]:
    """Give the numbers of the attempts that were started, in order."""
    names = store.list(node_path(pipeline, run_id, node, map_index))
    return sorted(int(name) for name in names if name.isdecimal())


def latest_success(
    store: Store, pipeline: str, run_id: str, node: str, map_index: Sequence[int] | None
) -> Any:
    """Read the `Record` of the latest attempt that succeeded; None if there is none."""
    for attempt in reversed(attempts(store, pipeline, run_id, node, map_index)):
        path = attempt_path(pipeline, run_id, node, map_index, attempt)
        record: Record | None = read_record(store, path)
        if record is not None and record.get("status") == SUCCEEDED:
            return record
    return None


def earlier_runs(store: Store, pipeline: str, run_id: str, limit: int) -> Iterator[str]:
    """Name other runs of the pipeline, as far as their ids sort by time: the nearest earlier first.

    Runs after this one come after those.
    """
    names = [unquote_name(name) for name in store.list(f"runs/{quote_name(pipeline)}")]
    before = [name for name in reversed(names) if name < run_id]
    after = [name for name in reversed(names) if name > run_id]
    yield from (before + after)[:limit]


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
