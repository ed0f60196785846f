"""Brings an index up to date: reads what is new in the log and the segments of the store.

What was read is noted, so that a sync reads little more than what is new. An entry may be read
twice and in any order (`rows.merge`), so two clients need not agree on anything.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from time import time_ns
from typing import TYPE_CHECKING, NamedTuple

from levada import records
from levada.index_log import REMOVED
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
#: Runs without an end that are looked at in one sync, seconds after which a run is such a one, and
#: seconds until such runs are looked at again: one whose machine has died never ends.
_MOST_UNENDED, _LONG, _LOOK_AGAIN = 100, 86_400.0, 3600.0


class SyncReport(NamedTuple):
    """What a sync has read."""

    entries: int = 0  #: entries of the log that were new
    segments: int = 0  #: segments that were new
    walked: int = 0  #: runs that no entry named, read from their own documents
    damaged: int = 0  #: entries and segments that cannot be read: damaged, or of a newer schema
    compacted: int = 0  #: entries that are in a new segment now


class ClearedError(Exception):
    """Another client has cleared the index while it was followed: all is to be read again."""


class Follower:
    """Follows one store for one index."""

    def __init__(self, store: Store, database: Database) -> None:
        self._store = store
        self._database = database
        self._covered: set[str] = set()  #: entries of the segments that were read in this sync
        self._has_hidden = False  #: whether something was not read that may name a run
        self._generation = self._noted("generation")

    def sync(self, *, is_rebuild: bool = False) -> SyncReport:
        """Read what is new. Raises StoreError, and ClearedError where it is to be called again.

        With ``is_rebuild`` the documents of all runs are read, also of runs that the log names.
        """
        tag = self._store.folder_tag(log_entries.FOLDER)
        if tag is not None and tag == self._noted("tag") and not is_rebuild:
            return SyncReport()
        read, damaged = self._take_segments()
        kept = self._kept()
        listed = self._listed()
        if not kept.issubset(listed):  # somebody removed the store, and there is another one
            self._generation = self._database.clear()
            self._covered.clear()
            read, damaged = self._take_segments()
            listed = self._listed()
        entries, unreadable = self._take_entries(listed)
        walked = 0
        if is_rebuild or self._has_hidden or not self._noted("walked"):
            walked = self._walk(with_annotations=is_rebuild)
        self._complete()
        self._look_at_unended()
        compacted = self._compact()
        with self._writing():
            self._note("tag", "" if tag is None else tag)
        return SyncReport(entries, read, walked, damaged + unreadable, compacted)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the only right to write, unless all that was read is forgotten meanwhile."""
        with self._database.writing():
            if self._noted("generation") != self._generation:
                raise ClearedError
            yield

    # ---------------------------------------------------------------- segments

    def _take_segments(self) -> tuple[int, int]:
        """Read the segments that are new; gives how many, and how many of them are damaged."""
        seen = {name for name, *_ in self._database.execute("SELECT name FROM seen_segments")}
        new = [each for each in segments.listed(self._store) if each.name not in seen]
        count = damaged = 0
        in_others: set[str] = set()
        unread: list[str] = []
        for level in sorted({each.level for each in new}, reverse=True):
            here = [e for e in new if e.level == level and e.name not in in_others]
            for segment in segments.read_each(self._store, here):
                if not isinstance(segment, Segment):
                    damaged += 1
                    unread.append(segment.name)
                    continue
                count += 1
                in_others.update(segment.parts)
                is_known = bool(segment.parts) and seen.issuperset(segment.parts)
                self._take_segment(segment, is_known=is_known)
        # Those that are part of another one need not be read.
        with self._writing():
            self._see([SegmentName(e.level, e.name) for e in new if e.name in in_others])
            # The entries of such a one may be gone; it is tried again in each sync.
            noted = "\n".join(sorted(set(unread) - in_others))
            if noted != (self._noted("unread_segments") or ""):
                self._has_hidden = True
                self._note("unread_segments", noted)
        return count, damaged

    def _take_segment(self, segment: Segment, *, is_known: bool) -> None:
        self._covered.update(segment.entries)
        with self._writing():
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
            unread = [row for _, row in read if isinstance(row, log_entries.Unreadable)]
            damaged += len(unread)
            rows = [row for _, row in read if not isinstance(row, log_entries.Unreadable)]
            rows += self._rows_of_unread(unread)
            with self._writing():
                self._store_rows(rows)
                self._database.execute_many(
                    "INSERT INTO seen_entries (name, state) VALUES (?, ?)"
                    " ON CONFLICT (name) DO NOTHING",
                    [
                        (name, UNREADABLE if isinstance(row, log_entries.Unreadable) else LOOSE)
                        for name, row in read
                    ],
                )
                self._note_last(name for name, _ in read)
        with self._writing():
            self._forget()
        return len(new), damaged

    def _rows_of_unread(self, unread: Iterable[log_entries.Unreadable]) -> list[Row]:
        """Read the documents of the runs that damaged and newer entries name."""
        named = {each.run for each in unread}
        if None in named:
            self._has_hidden = True
        keys = sorted(key for key in named if key is not None)
        return list(unindexed.rows_of_runs(self._store, keys))

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

    def _walk(self, *, with_annotations: bool) -> int:
        """Read the runs of which no entries say how they began and ended: they may be missing."""
        sql = "SELECT pipeline, run_id FROM runs WHERE started_key > '' AND ended_key > ''"
        known = {(pipeline, run_id) for pipeline, run_id in self._database.execute(sql)}
        read = unindexed.rows(self._store, known, annotations_of_known=with_annotations)
        count = 0
        for found in _batches(read, _BATCH):
            count += len(found)
            with self._writing():
                self._store_rows(found)
        with self._writing():
            self._note("walked", "1")
        return count

    def _complete(self) -> None:
        """Read how runs began of which the log says only how they ended."""
        found = list(
            self._database.execute(
                "SELECT pipeline, run_id FROM runs WHERE started_key IS NULL"
                f" AND {self._is_there} LIMIT ?",
                (_MOST_COMPLETED,),
            )
        )
        rows = list(unindexed.rows_of_starts(self._store, [(p, r) for p, r in found]))
        if rows:
            with self._writing():
                self._store_rows(rows)

    def _look_at_unended(self) -> None:
        """Read whether runs have ended of which the log does not say so, long after they began."""
        if (self._noted("looked") or "") > log_entries.name_before(_LOOK_AGAIN):
            return
        # By chance: of many that never end, each is looked at some time.
        sql = (
            "SELECT pipeline, run_id FROM runs WHERE ended_key IS NULL AND started < ?"
            f" AND {self._is_there} ORDER BY random() LIMIT {_MOST_UNENDED:d}"
        )
        before = records.timestamp(time_ns() - int(_LONG * 1e9))
        found = list(self._database.execute(sql, (before,)))
        rows = list(unindexed.rows_of_ends(self._store, [(p, r) for p, r in found]))
        with self._writing():
            self._store_rows(rows)
            self._note("looked", log_entries.name_before(0))

    @property
    def _is_there(self) -> str:
        """The condition that `levada gc` has not removed the documents of a run."""
        return f"{self._database.dialect.json_type('tags', REMOVED)} IS NULL"

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
        with self._writing():
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
