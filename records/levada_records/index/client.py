"""Opens the index of a store, brings it up to date and runs queries on it."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from .errors import DamagedIndexError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, Self

    from levada.store import Store

    from .follow import SyncReport
    from .tables import Dialect


#: Times that a sync is begun again where the index was damaged, or cleared by another client.
_TRIES = 4


class Database(Protocol):
    """What an index needs of the database that it is in."""

    warnings: list[str]

    @property
    def dialect(self) -> Dialect:
        """How this database writes what a query needs."""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a statement with ``?`` placeholders; gives its rows."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each of many rows."""

    def writing(self) -> AbstractContextManager[None]:
        """Hold the only right to write, for a block whose changes are made all or none."""

    def clear(self) -> str:
        """Forget all rows, and that anything was read; gives the new value of ``generation``.

        It is in the table ``followed``: a client that reads the store meanwhile begins anew.
        """

    def close(self) -> None:
        """Close the connection."""


class Index:
    """The runs of one store, as rows that can be filtered and sorted.

    ``warnings`` are sentences for people: why the index is in memory only, that it was damaged.

    >>> with open_index(store) as index:
    ...     list(index.execute("SELECT run_id FROM runs WHERE status = ?", ["failed"]))
    [('20260102-150405-1f3a9c',)]
    """

    def __init__(self, store: Store, database: Database) -> None:
        self._store = store
        self._database = database

    @property
    def store(self) -> Store:
        """The store whose runs these are."""
        return self._store

    @property
    def sql(self) -> Dialect:
        """How the index's database writes what a query needs (`tables.Dialect`)."""
        return self._database.dialect

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._database.dialect.name

    @property
    def warnings(self) -> list[str]:
        """What a person should know of this index, a sentence for each thing."""
        return self._database.warnings

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a query with ``?`` placeholders; yields its rows.

        JSON columns are texts, of both databases.
        """
        return self._database.execute(sql, parameters)

    def sync(self) -> SyncReport:
        """Read what is new in the store. Raises StoreError and IndexUnusable."""
        return self._sync(is_rebuild=False)

    def _sync(self, *, is_rebuild: bool) -> SyncReport:
        with _no_garbage_collection():
            report = self._followed(is_rebuild=is_rebuild)
        if report.damaged:
            are = "document{} of the index in the store {} damaged or of a newer Levada"
            are = are.format("", "is") if report.damaged == 1 else are.format("s", "are")
            self.warnings.append(
                f"{report.damaged} {are}; what can be read of such runs is read from the runs' own"
                " documents"
            )
        return report

    def _followed(self, *, is_rebuild: bool) -> SyncReport:
        from .follow import ClearedError, Follower

        for _ in range(_TRIES):
            try:
                return Follower(self._store, self._database).sync(is_rebuild=is_rebuild)
            except DamagedIndexError:  # `warnings` says so, and it is empty now
                continue
            except ClearedError:  # another client rebuilds it
                continue
        return Follower(self._store, self._database).sync(is_rebuild=is_rebuild)

    def rebuild(self) -> SyncReport:
        """Forget all rows and read everything again, runs that the log does not name too.

        Raises StoreError.
        """
        self._database.clear()
        return self._sync(is_rebuild=True)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python from looking for cycles in a hundred thousand new rows: there are none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_index(store: Store, *, database: str | None = None, sync: bool = True) -> Index:
    """Open the index of a store, and with ``sync`` bring it up to date.

    ``database`` is the URL of a PostgreSQL (``postgresql://...``); without it, that of the variable
    ``LEVADA_INDEX``, and without that a SQLite file of this machine. Raises IndexUnusable where the
    database cannot be used, and StoreError.
    """
    index = Index(store, _database(store, database or os.environ.get("LEVADA_INDEX") or ""))
    if sync:
        index.sync()
    return index


def _database(store: Store, url: str) -> Database:
    if url:
        from .postgresql_index import PostgresqlIndex

        return PostgresqlIndex(url, store.url)
    from .sqlite_index import SqliteIndex, index_file

    return SqliteIndex(index_file(store.url))
