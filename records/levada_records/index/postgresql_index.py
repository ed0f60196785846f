"""The index in a PostgreSQL that a team shares, by its URL.

A database may hold the indexes of many stores: each has a schema of its own, named by the digest of
the store's URL. Who may connect is PostgreSQL's matter: a password comes from the URL, from
``PGPASSWORD`` or from ``~/.pgpass``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from levada.git import without_credentials
from levada.store import digest_of

from .errors import IndexUnusable
from .tables import POSTGRESQL, SET_GENERATION, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

#: Seconds that a connection may take, if the URL does not say.
_PATIENCE = 10
#: What the comment on the schema says.
_COMMENT = f"levada index {VERSION}"


class PostgresqlIndex:
    """The database of one store's index, in a schema of a PostgreSQL.

    Several clients may read and write at once. Raises IndexUnusable.
    """

    dialect = POSTGRESQL

    def __init__(self, url: str, store_url: str) -> None:
        self.warnings: list[str] = []
        self._shown_url = without_credentials(url)
        digest = digest_of(store_url.encode("utf-8", "surrogateescape")).partition(":")[2]
        self._schema = f"levada_{digest[:16]}"
        self._lock = int(digest[:15], 16)
        self._connection = self._connected(url)
        self._prepare(store_url)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a statement with ``?`` placeholders; gives its rows. Raises IndexUnusable."""
        with self._in_words(), self._connection.cursor() as cursor:
            cursor.execute(POSTGRESQL.statement(sql), parameters)
            return iter(cursor.fetchall() if cursor.description is not None else [])

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each of many rows. Raises IndexUnusable."""
        with self._in_words(), self._connection.cursor() as cursor:
            cursor.executemany(POSTGRESQL.statement(sql), rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the only right to write, for a block whose changes are made all or none."""
        with self._in_words(), self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock,))
            yield

    def clear(self) -> str:
        """Forget all rows, and that anything was read; gives the new value of ``generation``."""
        generation = os.urandom(8).hex()
        with self.writing():
            for name in ("runs", "seen_entries", "seen_segments", "followed"):
                self._run(f"DELETE FROM {name}")
            self.execute_many(SET_GENERATION, [(generation,)])
        return generation

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # ---------------------------------------------------------------- the server

    def _connected(self, url: str) -> Any:
        try:
            import psycopg
            from psycopg.types.json import set_json_loads
        except ImportError as error:
            raise IndexUnusable(
                f"an index in PostgreSQL needs psycopg ({error}); install levada[postgresql]"
            ) from None
        with self._in_words():
            connection = psycopg.connect(
                url, autocommit=True, connect_timeout=_PATIENCE, application_name="levada"
            )
        set_json_loads(_text, connection)
        return connection

    def _prepare(self, store_url: str) -> None:
        """Make the schema and its tables; anew where another version of Levada has made them."""
        if not self._is_prepared():
            comment = f"{_COMMENT} of {store_url}".replace("'", "''").replace("\0", "")
            with self.writing():
                if not self._is_prepared():  # nobody else has made them meanwhile
                    self._run(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")
                    self._run(f"CREATE SCHEMA {self._schema}")
                    self._run(f"SET LOCAL search_path TO {self._schema}")
                    for statement in POSTGRESQL.create_tables():
                        self._run(statement)
                    self._run(f"COMMENT ON SCHEMA {self._schema} IS '{comment}'")
        self._run(f"SET search_path TO {self._schema}")

    def _is_prepared(self) -> bool:
        found = self.execute(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = ?",
            (self._schema,),
        )
        return any(str(comment).startswith(f"{_COMMENT} ") for (comment,) in found)

    def _run(self, statement: str) -> None:
        with self._in_words():
            self._connection.execute(statement.encode())

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Say what the server says, without a traceback."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise IndexUnusable(f"the index at {self._shown_url}: {said}") from error


def _text(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode()
