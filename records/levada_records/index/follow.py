"""Brings an index up to date: reads what is new in the log and the segments of the store.

What was read is noted, so that a sync reads little more than what is new. An entry may be read
twice and in any order (`rows.merge`), so two clients need not agree on anything.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from levada.store import StoreError

from . import log_entries, segments, unindexed
from .rows import NAMES, key_of, merge, merged
from .segments import Segment, SegmentName
from .tables import COLUMNS, quote_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from levada.store import Store

    from .client import Database
    from .rows import Row, RunKey

#: The state of an entry that was read: damaged or newer, in no segment yet, in a segment.
UNREADABLE, LOOSE, COVERED = 0, 1, 2
#: Entries that are read before their rows are written, and runs that are looked up at once.
_BATCH, _KEYS = 10_000, 400
#: Runs whose own documents are read in one sync because their entries do not say how they began.
_MOST_COMPLETED = 1000


class SyncReport(NamedTuple):
    """What a sync has read."""

    entries: int = 0  #: entries of the log that were new
    segments: int = 0  #: segments that were new
    walked: int = 0  #: runs that no entry named, read from their own documents
    damaged: int = 0  #: entries and segments that cannot be read: damaged, or of a newer schema
    compacted: int = 0  #: entries that are in a new segment now


class Follower:
    """Follows one store for one index."""

    def __init__(self, store: Store, database: Database) -> None:
        self._store = store
        self._database = database
        self._covered: set[str] = set()  #: entries of the segments that were read in this sync

    def sync(self) -> SyncReport:
        """Read what is new. Raises StoreError."""
        tag = self._store.folder_tag(log_entries.FOLDER)
        if tag is not None and tag == self._noted("tag"):
            return SyncReport()
        read, damaged = self._take_segments()
        kept = self._kept()
        listed = self._listed()
        if not kept.issubset(listed):  # somebody removed the store, and there is another one
            self._database.clear()
            self._covered.clear()
            read, damaged = self._take_segments()
            listed = self._listed()
        entries, unreadable = self._take_entries(listed)
        walked = 0 if self._noted("walked") else self._walk()
        self._complete()
        compacted = self._compact()
        with self._database.writing():
            self._note("tag", "" if tag is None else tag)
        return SyncReport(entries, read, walked, damaged + unreadable, compacted)

    # ---------------------------------------------------------------- segments

    def _take_segments(self) -> tuple[int, int]:
        """Read the segments that are new; gives how many, and how many of them are damaged."""
        seen = {name for name, *_ in self._database.execute("SELECT name FROM seen_segments")}
        new = [each for each in segments.listed(self._store) if each.name not in seen]
        count = damaged = 0
        in_others: set[str] = set()
        for level in sorted({each.level for each in new}, reverse=True):
            here = [e for e in new if e.level == level and e.name not in in_others]
            for segment in segments.read_each(self._store, here):
                if not isinstance(segment, Segment):
                    damaged += 1
                    continue
                count += 1
                in_others.update(segment.parts)
                is_known = bool(segment.parts) and seen.issuperset(segment.parts)
                self._take_segment(segment, is_known=is_known)
        # Those that are part of another one need not be read.
        with self._database.writing():
            self._see([SegmentName(e.level, e.name) for e in new if e.name in in_others])
        return count, damaged

    def _take_segment(self, segment: Segment, *, is_known: bool) -> None:
        self._covered.update(segment.entries)
        with self._database.writing():
            if not is_known:
                self._store_rows(segment.rows)
            self._see([segment.name], segment.parts)
            self._note_last(segment.entries)
            self._cover(segment.entries)

    def _see(self, names: Iterable[SegmentName], parts: Sequence[str] = ()) -> None:
        self._database.execute_many(
            "INSERT INTO seen_segments (name, level, parts) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO NOTHING",
            [(each.name, each.level, "\n".join(parts)) for each in names],
        )

    def _cover(self, entries: Iterable[str]) -> None:
        """Note which entries are in a segment, as far as they are listed again."""
        after = self._after()
        self._database.execute_many(
            "INSERT INTO seen_entries (name, state) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET state = excluded.state",
            [(name, COVERED) for name in entries if name > after],
        )
        loose = self._database.execute(
            "SELECT name FROM seen_entries WHERE state <> ? AND name <= ?", (COVERED, after)
        )
        covered = {name for (name,) in loose} & set(entries)
        self._database.execute_many(
            "DELETE FROM seen_entries WHERE name = ?", [(name,) for name in covered]
        )

    # ---------------------------------------------------------------- the log

    def _kept(self) -> set[str]:
        """Return the entries that the log still has, if it is the one that was followed.

        They are in no segment: gc removes none of these. It is asked before the log is listed, as
        another client may note one that is written meanwhile.
        """
        sql = "SELECT name FROM seen_entries WHERE state = ? AND name > ?"
        return {name for (name,) in self._database.execute(sql, (LOOSE, self._after()))}

    def _listed(self) -> list[str]:
        return log_entries.names_after(self._store, self._after())

    def _take_entries(self, listed: Iterable[str]) -> tuple[int, int]:
        """Read the entries that are new; gives how many, and how many of them are unreadable."""
        seen = {name for (name,) in self._database.execute("SELECT name FROM seen_entries")}
        new = [name for name in listed if name not in seen and name not in self._covered]
        damaged = 0
        for first in range(0, len(new), _BATCH):
            read = list(log_entries.read_rows(self._store, new[first : first + _BATCH]))
            damaged += sum(row is None for _, row in read)
            with self._database.writing():
                self._store_rows(row for _, row in read if row is not None)
                self._database.execute_many(
                    "INSERT INTO seen_entries (name, state) VALUES (?, ?)"
                    " ON CONFLICT (name) DO NOTHING",
                    [(name, UNREADABLE if row is None else LOOSE) for name, row in read],
                )
                self._note_last(name for name, _ in read)
        with self._database.writing():
            self._forget()
        return len(new), damaged

    def _forget(self) -> None:
        """Forget the entries in segments that are not listed again."""
        self._execute(
            "DELETE FROM seen_entries WHERE state = ? AND name <= ?", (COVERED, self._after())
        )

    def _after(self) -> str:
        """Return the text after which entries are listed: 24 h before the last one."""
        last = self._noted("last")
        return log_entries.name_earlier(last, log_entries.CLOCK_DIFFERENCE) if last else ""

    def _note_last(self, names: Iterable[str]) -> None:
        """Note the last entry that was read; one from the future counts as written just now."""
        last = min(max(names, default=""), log_entries.name_before(0))
        if last > (self._noted("last") or ""):
            self._note("last", last)

    # ---------------------------------------------------------------- runs without entries

    def _walk(self) -> int:
        """Read the runs that no entry names: they are older than the index."""
        known = {
            (pipeline, run_id)
            for pipeline, run_id in self._database.execute("SELECT pipeline, run_id FROM runs")
        }
        count = 0
        for found in _batches(unindexed.rows(self._store, known), _BATCH):
            count += len(found)
            with self._database.writing():
                self._store_rows(found)
        with self._database.writing():
            self._note("walked", "1")
        return count

    def _complete(self) -> None:
        """Read how runs began of which the log says only how they ended."""
        found = list(
            self._database.execute(
                "SELECT pipeline, run_id FROM runs WHERE started_key IS NULL LIMIT ?",
                (_MOST_COMPLETED,),
            )
        )
        rows = list(unindexed.rows_of_starts(self._store, [(p, r) for p, r in found]))
        if rows:
            with self._database.writing():
                self._store_rows(rows)

    # ---------------------------------------------------------------- new segments

    def _compact(self) -> int:
        """Write segments of what is old; gives how many entries are in them.

        Nothing is wrong with a store that may only be read: another client will do it.
        """
        loose = "SELECT name FROM seen_entries WHERE state = ? AND name < ?"
        before = log_entries.name_before(segments.AGE)
        names = [name for (name,) in self._database.execute(loose, (LOOSE, before))]
        listed = list(self._database.execute("SELECT name, level, parts FROM seen_segments"))
        in_others = {part for *_, parts in listed for part in parts.split("\n")}
        known = [SegmentName(level, name) for name, level, _ in listed if name not in in_others]
        new: list[Segment] = []
        with suppress(StoreError):
            new = segments.compact(self._store, names, known)
        with self._database.writing():
            for segment in new:
                self._see([segment.name], segment.parts)
                self._cover(segment.entries)
        return sum(len(each.entries) for each in new if not each.parts)

    # ---------------------------------------------------------------- the database

    def _store_rows(self, given: Iterable[Row]) -> None:
        """Merge rows into the table."""
        new = merged(given)
        known = self._rows_of(list(new))
        rows = [merge(known[key], row) if key in known else row for key, row in new.items()]
        self._database.execute_many(_UPSERT, rows)

    def _rows_of(self, keys: list[RunKey]) -> dict[RunKey, Row]:
        """Read the rows of these runs."""
        found: dict[RunKey, Row] = {}
        if not any(True for _ in self._database.execute("SELECT 1 FROM runs LIMIT 1")):
            return found
        for first in range(0, len(keys), _KEYS):
            some = keys[first : first + _KEYS]
            places = ", ".join("(?, ?)" for _ in some)
            # Not by `IN`: SQLite would look at all runs for it.
            sql = (
                f"WITH wanted (p, r) AS (VALUES {places}) SELECT {_COLUMNS} FROM wanted"
                " CROSS JOIN runs WHERE runs.pipeline = p AND runs.run_id = r"
            )
            for row in self._database.execute(sql, [part for key in some for part in key]):
                found[key_of(row)] = tuple(row)
        return found

    def _noted(self, name: str) -> str | None:
        sql = "SELECT value FROM followed WHERE name = ?"
        return next((str(value) for (value,) in self._database.execute(sql, (name,))), None)

    def _note(self, name: str, value: str) -> None:
        self._execute(
            "INSERT INTO followed (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def _execute(self, sql: str, parameters: Sequence[object]) -> None:
        self._database.execute_many(sql, [parameters])


_COLUMNS = ", ".join(map(quote_column, NAMES))
_UPSERT = (
    f"INSERT INTO runs ({_COLUMNS}) VALUES ({', '.join('?' for _ in NAMES)})"
    " ON CONFLICT (pipeline, run_id) DO UPDATE SET "
    + ", ".join(
        f"{quote_column(each.name)} = excluded.{quote_column(each.name)}"
        for each in COLUMNS
        if each.part != "key"
    )
)


def _batches(given: Iterable[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for each in given:
        batch.append(each)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
