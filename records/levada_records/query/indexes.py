"""Indexes on what is filtered by, made by the first query that was slow for want of one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_records.index import Index
    from levada_records.query.sql import Sql

#: Indexes at most: each makes adding a run slower.
MOST = 12
_PREFIX = "filtered_"


def add_index(index: Index, keys: Sequence[Sql]) -> None:
    """Index the runs by these expressions; the oldest such index makes room where there are many.

    Where that is not possible, the query stays as slow as it is.
    """
    from contextlib import suppress
    from hashlib import sha256

    # PostgreSQL would refuse a run whose text has no room in an index, for everybody.
    takes_all = index.dialect == "sqlite"
    texts = list(dict.fromkeys(key.text for key in keys if takes_all or not key.is_long))
    if not texts:
        return
    name = _PREFIX + sha256("\n".join(texts).encode()).hexdigest()[:20]
    # A database that this client may only read, or that another one writes to, stays as it is.
    with suppress(Exception):
        known = _known(index)
        if name in known:
            return
        for old in known[: max(0, len(known) - MOST + 1)]:
            list(index.execute(f"DROP INDEX IF EXISTS {old}"))
        keyed = ", ".join(f"({text})" for text in texts)
        list(index.execute(f"CREATE INDEX IF NOT EXISTS {name} ON runs ({keyed})"))


def _known(index: Index) -> list[str]:
    """Return the names of the indexes that were made so, the oldest first."""
    query = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE ? ORDER BY rowid"
    if index.dialect == "postgresql":
        query = (
            "SELECT relname FROM pg_class WHERE relkind = 'i' AND relname LIKE ?"
            " AND relnamespace = current_schema()::regnamespace ORDER BY oid"
        )
    return [str(name) for (name,) in index.execute(query, [f"{_PREFIX}%"])]
