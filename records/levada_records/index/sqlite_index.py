"""The index in a file of this machine: SQLite."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from levada.store import digest_of

from .errors import DamagedIndexError, IndexUnusable
from .tables import SET_GENERATION, SQLITE, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

#: Seconds that a client waits for another one that writes to the same file.
_PATIENCE = 30.0


class SqliteIndex:
    """The database of one store's index, in a file or in memory.

    Several processes may use one file at once: readers read while one writes.
    """

    dialect = SQLITE

    def __init__(self, path: str) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._connection = self._opened()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a statement; gives its rows, which are read while they are used.

        Raises IndexUnusable, DamagedIndexError where the file was damaged.
        """
        with self._in_words():
            return self._rows(self._connection.execute(sql, parameters))

    def _rows(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        with self._in_words():
            # Not `yield from`: it closes the cursor of a query that nobody reads to its end, and
            # the file may be closed by then.
            for row in cursor:  # noqa: UP028
                yield row

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each of many rows. Raises what `execute` raises."""
        with self._in_words():
            self._connection.executemany(sql, rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the only right to write, for a block whose changes are made all or none."""
        with self._in_words():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        with self._in_words():
            self._connection.commit()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Say what is wrong with the file; one that is damaged is replaced by an empty one."""
        try:
            yield
        except sqlite3.Error as error:
            if not _is_damaged(error):
                raise IndexUnusable(f"the index of runs {self.path}: {error}") from error
            self._connection.close()
            self._connection = self._opened_anew(error)
            raise DamagedIndexError(
                f"the index of runs {self.path} was damaged ({error}); run the command again: the"
                " index is built again from the store"
            ) from error

    def clear(self) -> str:
        """Forget all rows, and that anything was read; gives the new value of ``generation``."""
        generation = os.urandom(8).hex()
        with self.writing():
            self._drop_tables()
            self._create_tables()
            self.execute_many(SET_GENERATION, [(generation,)])
        return generation

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # ---------------------------------------------------------------- the file

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._usable(self.path)
        except (sqlite3.Error, IndexUnusable) as error:
            if _is_damaged(error, sqlite3.SQLITE_ERROR):  # other tables than ours
                return self._opened_anew(error)
            self.warnings.append(
                f"the index of runs {self.path} cannot be used ({error}); it is built in memory,"
                " each time anew: set LEVADA_INDEX_CACHE to a folder that can be written"
            )
        self.path = ":memory:"
        return self._usable(":memory:")

    def _opened_anew(self, error: Exception) -> sqlite3.Connection:
        self.warnings.append(
            f"the index of runs {self.path} was damaged ({error}); it is built again from the store"
        )
        for ending in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(self.path + ending)
        return self._usable(self.path)

    def _usable(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            self._connection = connection
            connection.execute("PRAGMA page_size = 16384")  # of a new file: rows are wide
            connection.execute("PRAGMA synchronous = OFF")  # what is lost is read again
            if self._version() != VERSION:
                with self.writing():
                    if self._version() != VERSION:  # nobody else has made the tables meanwhile
                        self._drop_tables()
                        self._create_tables()
            self._let_others_read()
            connection.execute("SELECT count(*) FROM followed").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _let_others_read(self) -> None:
        """Let others read while one writes. Raises sqlite3.Error where nobody here may write."""
        self._connection.execute("PRAGMA busy_timeout = 0")
        with self._unless_busy():  # else it is done the next time
            self._connection.execute("PRAGMA journal_mode = WAL")
        with self._unless_busy():
            self._connection.execute("BEGIN IMMEDIATE")
            try:  # only what writes is refused
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            finally:
                self._connection.rollback()
        self._connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000:.0f}")

    @contextmanager
    def _unless_busy(self) -> Iterator[None]:
        """Leave a block undone where somebody else uses the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _create_tables(self) -> None:
        for statement in SQLITE.create_tables():
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def _drop_tables(self) -> None:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (name,) in self._connection.execute(tables).fetchall():
            self._connection.execute(f'DROP TABLE IF EXISTS "{name}"')


def index_file(url: str) -> str:
    """Return the path of the index of a store, by its URL; the folder is made if it can be.

    It is in ``$LEVADA_INDEX_CACHE``, else in ``levada/index`` below ``$XDG_CACHE_HOME`` or
    ``~/.cache``.
    """
    folder = os.environ.get("LEVADA_INDEX_CACHE")
    if not folder:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        folder = os.path.join(home, "levada", "index")
    with suppress(OSError):
        os.makedirs(folder, 0o700, exist_ok=True)
    name = digest_of(url.encode("utf-8", "surrogateescape")).partition(":")[2][:32]
    return os.path.join(folder, f"{name}.sqlite")


def _is_damaged(error: BaseException, *others: int) -> bool:
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        *others,
    )
