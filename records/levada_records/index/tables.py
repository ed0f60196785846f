"""The tables of the index: one row a run, and what has been read of the store.

`COLUMNS` is the only definition of the row. The same rows are in SQLite, in PostgreSQL and in the
segments of a store; the class `Dialect` says how the two databases write the same thing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Literal

#: Another version of the tables is another set of rows: the index is then built anew.
VERSION = 2
#: Says that the index was emptied, and is another one from then on.
SET_GENERATION = "INSERT INTO followed (name, value) VALUES ('generation', ?)"


class Column(NamedTuple):
    """A column of the table ``runs``."""

    name: str
    kind: Literal["text", "real", "integer", "json"]
    #: What an entry of this kind says: `key`, `started`, `ended` or `annotation`. The columns of
    #: one part come from one entry, the latest of its kind.
    part: Literal["key", "started", "ended", "annotation"]
    #: Whether it only says which entry counts; people and queries have no use for it.
    is_internal: bool = False


#: In the order of the table. In SQLite, JSON is text; in PostgreSQL it is ``jsonb``.
COLUMNS = (
    Column("pipeline", "text", "key"),
    Column("run_id", "text", "key"),
    Column("status", "text", "ended"),
    Column("started", "text", "started"),
    Column("finished", "text", "ended"),
    Column("seconds", "real", "ended"),
    Column("engine", "text", "started"),
    Column("engine_ids", "json", "started"),
    Column("environment", "text", "started"),
    Column("trigger", "text", "started"),
    Column("user", "text", "started"),
    Column("params", "json", "started"),
    Column("metrics", "json", "ended"),
    Column("tags", "json", "annotation"),
    Column("note", "text", "annotation"),
    Column("commit", "text", "started"),
    Column("branch", "text", "started"),
    Column("dirty", "integer", "started"),
    Column("plan", "text", "started"),
    Column("source", "text", "started"),
    Column("code", "json", "ended"),
    Column("inputs", "json", "ended"),
    Column("outputs", "json", "ended"),
    Column("counts", "json", "ended"),
    Column("error", "json", "ended"),
    Column("peak_memory", "integer", "ended"),
    Column("cpu_seconds", "real", "ended"),
    # The keys of the entries that the parts of the row come from; of each tag, its entry's key
    # and its value, or null once the tag is removed.
    Column("started_key", "text", "started", is_internal=True),
    Column("ended_key", "text", "ended", is_internal=True),
    Column("note_key", "text", "annotation", is_internal=True),
    Column("tag_keys", "json", "annotation", is_internal=True),
)

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\?|%")


class Dialect:
    """How a database writes what a query needs; `SQLITE` and `POSTGRESQL` are the two.

    All texts that these methods give are SQL expressions. They hold no placeholders: keys are
    written as quoted literals, so that an index on such an expression is found by the database.
    """

    name: Literal["sqlite", "postgresql"]
    types: dict[str, str]

    def create_tables(self) -> list[str]:
        """Return the statements that create the tables where they are not there.

        >>> SQLITE.create_tables()[1]
        'CREATE INDEX IF NOT EXISTS runs_started ON runs (started)'
        """
        columns = "".join(
            f"  {quote_column(each.name)} {self.types[each.kind]}"
            f"{' NOT NULL' if each.part == 'key' else ''},\n"
            for each in COLUMNS
        )
        return [
            f"CREATE TABLE IF NOT EXISTS runs (\n{columns}  PRIMARY KEY (pipeline, run_id)\n)",
            "CREATE INDEX IF NOT EXISTS runs_started ON runs (started)",
            "CREATE INDEX IF NOT EXISTS runs_run_id ON runs (run_id)",
            "CREATE INDEX IF NOT EXISTS runs_unended ON runs (started) WHERE ended_key IS NULL",
            "CREATE INDEX IF NOT EXISTS runs_incomplete ON runs (pipeline, run_id)"
            " WHERE started_key IS NULL",
            # `state` is one of `follow.UNREADABLE`, `LOOSE` and `COVERED`.
            "CREATE TABLE IF NOT EXISTS seen_entries ("
            "name TEXT PRIMARY KEY, state INTEGER NOT NULL)",
            "CREATE TABLE IF NOT EXISTS seen_segments ("
            "name TEXT PRIMARY KEY, level INTEGER NOT NULL, parts TEXT NOT NULL)",
            "CREATE TABLE IF NOT EXISTS followed (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        ]

    def statement(self, sql: str) -> str:
        """Return a statement with ``?`` placeholders as the database's driver takes it."""
        return sql

    def json_text(self, column: str, *keys: str) -> str:
        """Return a string in a JSON column; NULL where it is not there, or is no string.

        >>> list(index.execute(f"SELECT {index.sql.json_text('tags', 'owner')} FROM runs"))
        [('mila',), (None,)]
        """
        raise NotImplementedError

    def json_number(self, column: str, *keys: str) -> str:
        """Return a number in a JSON column; NULL where it is not there, or is no number.

        The texts ``Infinity`` and ``-Infinity`` are numbers, ``NaN`` is NULL.
        """
        raise NotImplementedError

    def json_boolean(self, column: str, *keys: str) -> str:
        """Return 1 or 0 for true or false in a JSON column; NULL for all else."""
        raise NotImplementedError

    def json_type(self, column: str, *keys: str) -> str:
        """Return the type of what is in a JSON column, a text; NULL where it is not there.

        The types are ``number``, ``string``, ``boolean``, ``null``, ``array`` and ``object``.
        """
        raise NotImplementedError


class _Sqlite(Dialect):
    name = "sqlite"
    types = {"text": "TEXT", "real": "REAL", "integer": "INTEGER", "json": "TEXT"}  # noqa: RUF012

    def create_tables(self) -> list[str]:
        statements = super().create_tables()
        return [
            f"{each} WITHOUT ROWID" if "TABLE" in each and "runs (" not in each else each
            for each in statements
        ]

    def json_text(self, column: str, *keys: str) -> str:
        return f"CASE {self._type(column, keys)} WHEN 'text' THEN {_extract(column, keys)} END"

    def json_number(self, column: str, *keys: str) -> str:
        value = _extract(column, keys)
        return (
            f"CASE {self._type(column, keys)} WHEN 'real' THEN {value} WHEN 'integer' THEN {value}"
            f" WHEN 'text' THEN CASE {value} WHEN 'Infinity' THEN 9e999"
            " WHEN '-Infinity' THEN -9e999 END END"
        )

    def json_boolean(self, column: str, *keys: str) -> str:
        return f"CASE {self._type(column, keys)} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"

    def json_type(self, column: str, *keys: str) -> str:
        found = self._type(column, keys)
        return (
            f"CASE {found} WHEN 'real' THEN 'number' WHEN 'integer' THEN 'number' WHEN 'text'"
            " THEN 'string' WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean'"
            f" ELSE {found} END"
        )

    def _type(self, column: str, keys: tuple[str, ...]) -> str:
        if _has_path(keys):
            return f"json_type({quote_column(column)}, {quote_text(_path(keys))})"
        return _by_key(column, keys, "type")


class _Postgresql(Dialect):
    name = "postgresql"
    types = {  # noqa: RUF012
        "text": "TEXT",
        "real": "DOUBLE PRECISION",
        "integer": "BIGINT",
        "json": "JSONB",
    }

    def statement(self, sql: str) -> str:
        return _QUOTED.sub(
            lambda found: _PLACEHOLDERS.get(found[0], found[0].replace("%", "%%")), sql
        )

    def create_tables(self) -> list[str]:
        # In the order of code points, as SQLite and Python compare texts.
        return [
            each.replace(" TEXT", ' TEXT COLLATE "C"') if "TABLE" in each else each
            for each in super().create_tables()
        ]

    def json_text(self, column: str, *keys: str) -> str:
        return (
            f"CASE {self.json_type(column, *keys)} WHEN 'string' THEN {_scalar(column, keys)} END"
        )

    def json_number(self, column: str, *keys: str) -> str:
        text = _scalar(column, keys)
        return (
            f"CASE {self.json_type(column, *keys)} WHEN 'number' THEN {text}::double precision"
            f" WHEN 'string' THEN CASE {text} WHEN 'Infinity' THEN 'Infinity'::double precision"
            " WHEN '-Infinity' THEN '-Infinity'::double precision END END"
        )

    def json_boolean(self, column: str, *keys: str) -> str:
        text = _scalar(column, keys)
        return (
            f"CASE WHEN {self.json_type(column, *keys)} = 'boolean' THEN"
            f" CASE {text} WHEN 'true' THEN 1 ELSE 0 END END"
        )

    def json_type(self, column: str, *keys: str) -> str:
        return f"jsonb_typeof({quote_column(column)} #> {_array(keys)})"


_PLACEHOLDERS = {"?": "%s", "%": "%%"}
SQLITE: Dialect = _Sqlite()
POSTGRESQL: Dialect = _Postgresql()


def quote_column(name: str) -> str:
    """Return a column's name as SQL: ``user`` and ``commit`` are words of the language."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return a text as a literal of SQL. No database takes a NUL; it is never found in one."""
    return "'" + text.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("'", "''") + "'"


def _has_path(keys: tuple[str, ...]) -> bool:
    """Whether a path of SQLite's JSON can say the keys: in it, nothing can be escaped."""
    return not any('"' in key or "\\" in key or not key.isprintable() for key in keys)


def _path(keys: tuple[str, ...]) -> str:
    return "$" + "".join(f'."{key}"' for key in keys)


def _extract(column: str, keys: tuple[str, ...]) -> str:
    if _has_path(keys):
        return f"json_extract({quote_column(column)}, {quote_text(_path(keys))})"
    return _by_key(column, keys, "atom")


def _by_key(column: str, keys: tuple[str, ...], field: str) -> str:
    """Look a key up among all of an object: slower, but it takes any text."""
    found = quote_column(column)
    for key in keys[:-1]:
        found = f"(SELECT value FROM json_each({found}) WHERE key = {quote_text(key)})"
    return f"(SELECT {field} FROM json_each({found}) WHERE key = {quote_text(keys[-1])})"


def _scalar(column: str, keys: tuple[str, ...]) -> str:
    return f"({quote_column(column)} #>> {_array(keys)})"


def _array(keys: tuple[str, ...]) -> str:
    return f"ARRAY[{', '.join(map(quote_text, keys))}]::text[]"
