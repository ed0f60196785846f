"""A run as its records in the store tell it: what nodes gave, and which ones failed."""

from __future__ import annotations

import os

from levada import environment, git, index_log, records, values
from levada.errors import InputError, UsageError
from levada.failures import without_traceback
from levada.redaction import redact_json, secrets_in_request
from levada.trees.canonical import leaf_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from levada.record_types import ErrorPart, Record, RunDocument
    from levada.store import Store
    from levada.trees.tree_types import Tree


class StoredNodes:
    """The nodes of a run, for expressions: found by the attempts that were started."""

    def __init__(self, store: Store, pipeline: str, run_id: str) -> None:
        self._store = store
        self._run = (pipeline, run_id)
        self._known: set[str] = set()
        self._indexes: dict[str, list[tuple[int, ...]]] = {}

    def __contains__(self, node: object) -> bool:
        if not isinstance(node, str):
            return False
        if node not in self._known and records.has_node(self._store, *self._run, node):
            self._known.add(node)
        return node in self._known

    def output(self, node: str, indexes: tuple[int, ...]) -> Tree:
        """Give the tree that a node returned; all iterations in order if none is named.

        Raises InputError if it has no attempt that succeeded.
        """
        mapped = self._map_indexes(node)
        if not indexes and mapped:
            return [self._returned(node, index) for index in mapped]
        return self._returned(node, indexes)

    def _returned(self, node: str, indexes: tuple[int, ...]) -> Tree:
        record: Record | None = records.latest_success(self._store, *self._run, node, indexes)
        if record is None:
            raise InputError(f"`{_label(node, indexes)}` gave nothing: {self._why(node, indexes)}")
        return leaf_of(record["returns"])

    def _why(self, node: str, indexes: tuple[int, ...]) -> str:
        numbers = records.attempts(self._store, *self._run, node, indexes)
        if not numbers:
            return "it was not run"
        path = records.attempt_path(*self._run, node, indexes, numbers[-1])
        record: Record | None = records.read_record(self._store, path)
        if record is None:
            if damaged := records.damaged_record(self._store, *self._run, node, indexes):
                return f"its record {damaged} is damaged; run it again"
            return "its last attempt ended without a record"
        error = record.get("error")
        why = f"{error['type']}: {error['message']}" if error else "None: None"
        return f"it {record['status']} ({why})"

    def failed(self, node: str, indexes: Mapping[str, int]) -> bool:
        """Whether a node was started and has not succeeded, in this iteration of its loops."""
        place = tuple(indexes.values())
        mapped = self._map_indexes(node)
        if not mapped:
            return self._has_failed(node, ())
        depth = min(len(mapped[0]), len(place))
        here = [index for index in mapped if index[:depth] == place[:depth]]
        return any(self._has_failed(node, index) for index in here)

    def failed_before(self, nodes: Sequence[str], place: tuple[int, ...]) -> bool:
        """Whether one of these nodes failed in an iteration before this one, of a loop in order.

        Only the last one before it in which anything was started can have failed.
        """
        *outer, here = place
        depth = len(place)
        started = [
            (node, index)
            for node in nodes
            for index in self._map_indexes(node)
            if index[: depth - 1] == tuple(outer) and index[depth - 1] < here
        ]
        last = max((index[depth - 1] for _, index in started), default=None)
        return any(self._has_failed(n, i) for n, i in started if i[depth - 1] == last)

    def error(self, nodes: Sequence[str], indexes: Mapping[str, int]) -> ErrorPart | None:
        """Give the error of the first of these nodes that failed, in the order of the source.

        Of nodes of one loop the iteration counts before the node.
        """
        place = tuple(indexes.values())
        found: list[tuple[int, tuple[int, ...], int, ErrorPart]] = []
        block, depth = 0, 0
        for at, node in enumerate(nodes):
            mapped = [index for index in self._map_indexes(node) if index[: len(place)] == place]
            inner = len(mapped[0]) - len(place) if mapped else 0
            block += not (inner and depth)  # neighbours that are both in loops are in one
            depth = inner
            failed = [index for index in mapped or [()] if self._has_failed(node, index)]
            found += [(block, index, at, self._error_of(node, index)) for index in failed]
        return min(found, key=lambda each: each[:3])[3] if found else None

    def _error_of(self, node: str, index: tuple[int, ...]) -> ErrorPart:
        for number in reversed(records.attempts(self._store, *self._run, node, index)):
            path = records.attempt_path(*self._run, node, index, number)
            record: Record | None = records.read_record(self._store, path)
            error = None if record is None else record.get("error")
            if error:
                return error
        return without_traceback(
            "ProcessKilled", "its last attempt ended without a record", "killed", permanent=False
        )

    def _has_failed(self, node: str, index: tuple[int, ...]) -> bool:
        started = bool(records.attempts(self._store, *self._run, node, index))
        return started and records.latest_success(self._store, *self._run, node, index) is None

    def _map_indexes(self, node: str) -> list[tuple[int, ...]]:
        if node not in self._indexes:
            self._indexes[node] = records.map_indexes(self._store, *self._run, node)
        return self._indexes[node]


def register(
    store: Store,
    pipeline: str,
    run_id: str,
    parameters: dict[str, object] | None,
    *,
    engine: Any,
    source: str | None,
    project: str,
    secrets: Mapping[str, str],
) -> Any:
    """Give the run's ``run.json`` (`RunDocument`), written now if there is none yet.

    ``parameters`` are JSON values; None takes those of the run. ``engine`` is an `EnginePart`.
    ``secrets`` are the values of the run's secrets by variable, to mask. Raises StoreError, and
    UsageError for a parameter or a run id that holds one.
    """
    folder = records.run_path(pipeline, run_id)
    if problems := secrets_in_request(parameters or {}, run_id, secrets):
        raise UsageError("\n".join(problems))
    found = records.read_run(store, folder)
    if found is not None:
        return found
    if os.environ.get("LEVADA_ENVIRONMENT"):
        engine = {**engine, "environment": os.environ["LEVADA_ENVIRONMENT"]}
    trees = {name: values.encode(value) for name, value in (parameters or {}).items()}
    shown: dict[str, object] = {name: values.display(tree) for name, tree in trees.items()}
    document: RunDocument = {
        "schema": records.RUN_SCHEMA,
        "pipeline": pipeline,
        "run_id": run_id,
        "parameters": {"trees": trees, "display": redact_json(shown, secrets.values())},
        "trigger": engine.get("trigger") or "manual",
        "user": engine.get("user") or os.environ.get("USER") or None,
        "engine": engine,
        "created": records.timestamp(),
        "source": source,
        "plan": None,
        "git": git.describe(project, store, secrets.values()),
        "environment": environment.whole(),
    }
    if store.write_once(f"{folder}/run.json", records.document(document)):
        index_log.write_started(store, document)
    return records.read_run(store, folder) or document


def _label(node: str, indexes: tuple[int, ...]) -> str:
    return f"{node}[{', '.join(map(str, indexes))}]" if indexes else node
