"""Rows of runs that the log of the index does not name: read from the runs' own documents.

They are runs of an older version, or runs whose entry could not be written. A run is always
listed: one whose ``run.json`` is damaged as ``damaged``, one of a newer schema with what can be
read of it, and a note that says so.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from levada import index_log, records
from levada.artifact import ArtifactError
from levada.store import unquote_name

from . import rows as row_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any

    from levada.store import Store

    from .rows import Row, RunKey

T = TypeVar("T")

#: Runs that are read at once; each of them reads many records at once.
_AT_ONCE = 8


def rows(
    store: Store, known: Collection[RunKey], *, annotations_of_known: bool = False
) -> Iterator[Row]:
    """Yield the rows of all runs of a store that are not known. Raises StoreError.

    With ``annotations_of_known``, the tags and notes of the others too.
    """
    missing: list[RunKey] = []
    others: list[RunKey] = []
    for key in _stored_runs(store):
        is_known = (row_forms.clean(key[0]), row_forms.clean(key[1])) in known
        (others if is_known else missing).append(key)
    yield from _in_parallel(missing, lambda key: row(store, *key))
    if annotations_of_known:
        for found in _in_parallel(others, lambda key: _annotations(store, *key)):
            yield from found


def row(store: Store, pipeline: str, run_id: str) -> Row:
    """Return the row of a run, by its documents alone. Raises StoreError."""
    found = _start(store, pipeline, run_id)
    for each in (*_end(store, pipeline, run_id), *_annotations(store, pipeline, run_id)):
        found = row_forms.merge(found, each)
    return found


def rows_of_runs(store: Store, keys: Iterable[RunKey]) -> Iterator[Row]:
    """Yield the rows of those runs of which the store has anything. Raises StoreError."""

    def found(key: RunKey) -> list[Row]:
        return [row(store, *key)] if store.list(records.run_path(*key)) else []

    for each in _in_parallel(keys, found):
        yield from each


def rows_of_starts(store: Store, keys: Iterable[RunKey]) -> Iterator[Row]:
    """Yield what is known of the beginning of runs. Raises StoreError."""
    yield from _in_parallel(keys, lambda key: _start(store, *key))


def rows_of_ends(store: Store, keys: Iterable[RunKey]) -> Iterator[Row]:
    """Yield what is known of the end of those runs that have ended. Raises StoreError."""
    for found in _in_parallel(keys, lambda key: _end(store, *key)):
        yield from found


def _in_parallel(keys: Iterable[RunKey], read: Callable[[RunKey], T]) -> Iterator[T]:
    keys = list(keys)
    if len(keys) < 2:
        yield from map(read, keys)
        return
    from concurrent.futures import ThreadPoolExecutor  # takes 10 ms, and most stores have none

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        yield from threads.map(read, keys)


def _stored_runs(store: Store) -> Iterator[RunKey]:
    for pipeline in store.list("runs"):
        for run in store.list(f"runs/{pipeline}"):
            try:
                key = unquote_name(pipeline), unquote_name(run)
            except ValueError:
                continue  # not a name that Levada has written
            if all(map(row_forms.is_name, key)):
                yield key


def _start(store: Store, pipeline: str, run_id: str) -> Row:
    """Return the row of a run's ``run.json``."""
    path = f"{records.run_path(pipeline, run_id)}/run.json"
    try:
        data = store.read(path)
    except FileNotFoundError:
        return _unread(pipeline, run_id, "run.json is not there")
    document = records.parse_json(data, "run")
    if document is not None:
        if not _is_of(document, pipeline, run_id):
            return _unread(pipeline, run_id, _of_another("run.json", document))
        found = _row(document["created"], lambda: index_log.started(document))
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
    """Return the row of a run's last outcome, if it has one."""
    path = records.last_outcome(store, pipeline, run_id)
    if path is None:
        return []
    try:
        data = store.read(path)
    except FileNotFoundError:  # removed since it was listed
        return []
    name = path.rpartition("/")[2]
    outcome = records.parse_json(data, "outcome")
    status, note = None, f"{name} is damaged"
    if outcome is None:
        newer = records.parse_document(data)
        if newer is not None and _is_newer(newer, records.OUTCOME_SCHEMA):
            status, note = newer.get("status"), f"{name} is of a newer schema: {newer['schema']}"
    elif not _is_of(outcome, pipeline, run_id):
        note = _of_another(name, outcome)
    else:
        finished = outcome["finished"]
        work = index_log.stored_work(store, pipeline, run_id)
        # What the steps did may be what cannot be read.
        for each in (work, index_log.RunWork()):
            found = _row(finished, partial(index_log.ended, outcome, each))
            if found is not None:
                return [found]
    return [row_forms.row_of_unread_end(pipeline, run_id, status=status, note=note)]


def _annotations(store: Store, pipeline: str, run_id: str) -> list[Row]:
    """Return the rows of the tags and notes of a run."""
    folder = f"{records.run_path(pipeline, run_id)}/annotations"
    names = [name for name in store.list(folder) if name.endswith(".json")]
    found: list[Row | None] = []
    for name, data in zip(names, store.read_each([f"{folder}/{n}" for n in names]), strict=True):
        document = records.parse_json(data or b"", "annotation")
        if document is not None and _is_of(document, pipeline, run_id):
            entries = index_log.annotated(document)
            found += [row_forms.row_of_entry(name.removesuffix(".json"), each) for each in entries]
    return [each for each in found if each is not None]


def _row(time: str, entry: Callable[[], Any]) -> Row | None:
    """Return the row of an entry that is made of a document; None if the document is too odd."""
    try:
        return row_forms.row_of_entry(_name(time), entry())
    except (ArtifactError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
        return None


def _is_of(document: dict[str, Any], pipeline: str, run_id: str) -> bool:
    """Whether a document is of the run in whose folder it is: somebody may have copied it."""
    return bool((document["pipeline"], document["run_id"]) == (pipeline, run_id))


def _of_another(name: str, document: dict[str, Any]) -> str:
    return f"{name} is of another run: {document['pipeline']}/{document['run_id']}"


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
