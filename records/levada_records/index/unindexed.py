"""Rows of runs that the log of the index does not name: read from the runs' own documents.

They are runs of an older version, or runs whose entry could not be written. A run is always
listed: one whose ``run.json`` is damaged as ``damaged``, one of a newer schema with what can be
read of it, and a note that says so.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from levada import index_log, records
from levada.store import unquote_name

from . import rows as row_forms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any

    from levada.store import Store

    from .rows import Row, RunKey

#: Runs that are read at once; each of them reads many records at once.
_AT_ONCE = 8


def rows(store: Store, known: Collection[RunKey]) -> Iterator[Row]:
    """Yield the rows of all runs of a store that are not known. Raises StoreError."""
    missing = (
        (pipeline, run_id)
        for pipeline, run_id in _stored_runs(store)
        if (row_forms.clean(pipeline), row_forms.clean(run_id)) not in known
    )
    yield from _in_parallel(missing, lambda key: row(store, *key))


def row(store: Store, pipeline: str, run_id: str) -> Row:
    """Return the row of a run, by its documents alone. Raises StoreError."""
    found = _start(store, pipeline, run_id)
    for each in (*_end(store, pipeline, run_id), *_annotations(store, pipeline, run_id)):
        found = row_forms.merge(found, each)
    return found


def rows_of_starts(store: Store, keys: Iterable[RunKey]) -> Iterator[Row]:
    """Yield what is known of the beginning of runs. Raises StoreError."""
    yield from _in_parallel(keys, lambda key: _start(store, *key))


def _in_parallel(keys: Iterable[RunKey], read: Any) -> Iterator[Row]:
    keys = list(keys)
    if len(keys) < 2:
        yield from map(read, keys)
        return
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        yield from threads.map(read, keys)


def _stored_runs(store: Store) -> Iterator[RunKey]:
    for pipeline in store.list("runs"):
        for run in store.list(f"runs/{pipeline}"):
            try:
                yield unquote_name(pipeline), unquote_name(run)
            except ValueError:
                continue  # not a name that Levada has written


def _start(store: Store, pipeline: str, run_id: str) -> Row:
    """Return the row of a run's ``run.json``."""
    path = f"{records.run_path(pipeline, run_id)}/run.json"
    try:
        data = store.read(path)
    except FileNotFoundError:
        return _unread(pipeline, run_id, "run.json is not there")
    document = records.parse_json(data, "run")
    if document is not None:
        entry: Any = index_log.started(document)
        found = row_forms.row_of_entry(_name(document["created"]), entry)
        return found or _unread(pipeline, run_id, "run.json is damaged")
    newer = records.parse_document(data)
    if newer is None or not _is_newer(newer, records.RUN_SCHEMA):
        return _unread(pipeline, run_id, "run.json is damaged")
    return row_forms.row_of_newer(
        pipeline, run_id, newer, note=f"run.json is of a newer schema: {newer['schema']}"
    )


def _unread(pipeline: str, run_id: str, note: str) -> Row:
    return row_forms.row_of_damaged(pipeline, run_id, note=note)


def _end(store: Store, pipeline: str, run_id: str) -> list[Row]:
    """Return the row of a run's last outcome, if it has one that can be read."""
    outcome = records.read_outcome(store, pipeline, run_id)
    if outcome is None:
        return []
    work = index_log.stored_work(store, pipeline, run_id)
    found = row_forms.row_of_entry(_name(outcome["finished"]), index_log.ended(outcome, work))
    return [] if found is None else [found]


def _annotations(store: Store, pipeline: str, run_id: str) -> list[Row]:
    """Return the rows of the tags and notes of a run."""
    folder = f"{records.run_path(pipeline, run_id)}/annotations"
    names = [name for name in store.list(folder) if name.endswith(".json")]
    found: list[Row | None] = []
    for name, data in zip(names, store.read_each([f"{folder}/{n}" for n in names]), strict=True):
        document = records.parse_json(data or b"", "annotation")
        if document is not None:
            entries = index_log.annotated(document)
            found += [row_forms.row_of_entry(name.removesuffix(".json"), each) for each in entries]
    return [each for each in found if each is not None]


def _name(time: str) -> str:
    """Return a time as an entry's name begins: an entry that was written then is later.

    >>> _name("2026-01-02T15:04:05.000001Z")
    '20260102T150405.000001Z'
    """
    return time.replace("-", "").replace(":", "")


def _is_newer(document: dict[str, Any], schema: str) -> bool:
    name, _, version = str(document.get("schema")).partition("/")
    own, _, known = schema.partition("/")
    return name == own and version.isdecimal() and int(version) > int(known)
