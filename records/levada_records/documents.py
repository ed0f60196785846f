"""Reads documents of a store that anybody may have damaged, or that a newer Levada has written.

Nothing here raises for what is in a document: its problem is returned in words, beside what could
be read. What a damaged document says is not used at all.
"""

from __future__ import annotations

import json
import os

from levada import document_schemas, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from levada.store import Store

    T = TypeVar("T")
    R = TypeVar("R")

#: Requests to a bucket at a time: each takes 20 to 100 ms, nearly all of it waiting.
CONCURRENT = 32
#: Bytes of a blob that is read as JSON, such as a plan or the series of the metrics.
MAX_JSON_BLOB = 64 << 20


class Document:
    """A document as it was found: its ``content``, or the ``problem`` why there is none.

    Both are empty where there is no document: ``content`` is None, ``problem`` an empty text.
    """

    __slots__ = ("content", "path", "problem")

    def __init__(self, path: str, content: Any = None, problem: str = "") -> None:
        self.path = path
        self.content = content
        self.problem = problem


def read_document(store: Store, path: str, schema: str) -> Document:
    """Read the document at a path, by the name of its schema: ``run``, ``outcome``, ``record``.

    Raises StoreError if the store cannot be read.

    >>> read_document(store, "runs/churn/42/run.json", "run").problem
    'runs/churn/42/run.json is damaged: it is no JSON object'
    """
    try:
        data = store.read(path)
    except FileNotFoundError:
        return Document(path)
    return parse_document(path, data, schema)


def parse_document(path: str, data: bytes, schema: str) -> Document:
    """Return the document of some bytes that were read from a path."""
    content = records.parse_document(data)
    if content is None:
        return Document(path, problem=f"{path} is damaged: it is no JSON object")
    if document_schemas.fits(content, schema):
        return Document(path, content)
    written = content.get("schema")
    known = f"levada.{schema}/"
    if isinstance(written, str) and written.startswith(known) and written != _current(schema):
        return Document(
            path, problem=f"{path} cannot be read by this version of Levada: it is {written[:60]}"
        )
    return Document(path, problem=f"{path} is damaged: it does not fit {_current(schema)}")


def read_documents(store: Store, paths: Iterable[str], schema: str) -> list[Document]:
    """Read several documents of a schema, in the order of their paths; of a bucket in parallel."""
    return in_parallel(store, lambda path: read_document(store, path, schema), paths)


def in_parallel(store: Store, read: Callable[[T], R], what: Iterable[T]) -> list[R]:
    """Call ``read`` with each thing, at the same time if the store is not on this machine."""
    things = list(what)
    if len(things) < 2 or store.local_folders():
        return [read(thing) for thing in things]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(CONCURRENT, len(things))) as pool:
        return list(pool.map(read, things))


def read_json_blob(store: Store, digest: str, most: int = MAX_JSON_BLOB) -> Any:
    """Read a blob that holds JSON; None if it is missing, damaged, no JSON, or over ``most`` bytes.

    Raises StoreError if the store cannot be read.
    """
    from levada.artifact import CorruptArtifact
    from levada.store import MissingBlob

    try:
        with store.open_blob(digest) as blob:
            if blob.seek(0, os.SEEK_END) > most:
                return None
        return json.loads(store.read_blob(digest))
    except (MissingBlob, CorruptArtifact, ValueError, RecursionError):
        return None


def _current(schema: str) -> str:
    return {
        "run": records.RUN_SCHEMA,
        "outcome": records.OUTCOME_SCHEMA,
        "record": records.RECORD_SCHEMA,
    }.get(schema, f"levada.{schema}/1")
