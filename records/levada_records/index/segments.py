"""Segments: many entries of the log in one document, so that a new client reads few of them.

``index/segments/<level>/<first>_<last>_<count>_<digest>.jsonl.gz``: the names of the first and the
last entry, how many there are, and the beginning of the sha256 of the lines. Line 1 is the header
(``levada.index_segment/1``), line 2 the names of the entries, each other line the row of one run:
what these entries say of it. Ten segments of a level are merged into one of the next.

Two clients that write segments at once do no harm: the same entries give the same document, and
others that overlap give the same rows. Only `levada gc` removes entries, and segments in others.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, NamedTuple

from levada.store import digest_of

from . import log_entries
from .checks import checked
from .rows import NAMES, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from levada.store import Store

    from .rows import Row

SCHEMA = "levada.index_segment/1"
FOLDER = "index/segments"
#: Entries of a segment of level 1, and segments of a level that make one of the next.
ENTRIES, PARTS = 1000, 10
#: Seconds after which an entry may be part of a segment: by then every client has seen it.
AGE = 90_000.0
#: Entries that one client makes segments of at a time, lest a query waits for it.
MOST_AT_ONCE = 50 * ENTRIES
_ENDING = ".jsonl.gz"
_LONGEST_NAME, _LONGEST_COUNT = 500, 12
#: Bytes of a segment's lines at most, entries of one that is made of others, digits of a level.
_LARGEST, _MOST_ENTRIES, _DIGITS = 256 << 20, 100_000, 2


class DamagedSegmentError(ValueError):
    """A segment is not what its name says, or of a newer schema."""

    name = ""  #: the segment's


class SegmentName(NamedTuple):
    """What the name of a segment says."""

    level: int
    name: str  #: without the folder and the ending

    @property
    def path(self) -> str:
        """Its path in the store."""
        return f"{FOLDER}/{self.level}/{self.name}{_ENDING}"

    @property
    def size(self) -> int:
        """How many entries it has."""
        return int(self.name.split("_")[2])

    @property
    def digest(self) -> str:
        """The beginning of the digest of its lines."""
        return self.name.rpartition("_")[2]


class Segment(NamedTuple):
    """What is in a segment."""

    name: SegmentName
    parts: list[str]  #: names of the segments that it was made of, one level below
    entries: list[str]  #: names of the log's entries that it has
    rows: list[Row]


def listed(store: Store) -> list[SegmentName]:
    """List the segments of a store, the highest level first. Raises StoreError."""
    found = []
    for path, _ in store.walk(FOLDER):
        level, _, file = path.removeprefix(f"{FOLDER}/").partition("/")
        name = file.removesuffix(_ENDING)
        parts = name.split("_")
        is_level = level.isascii() and level.isdecimal() and len(level) <= _DIGITS
        is_count = len(parts) == 4 and parts[2].isascii() and parts[2].isdecimal()
        if file != name and is_level and is_count and len(parts[2]) <= _LONGEST_COUNT:
            found.append(SegmentName(int(level), name))
    return sorted(found, key=lambda each: (-each.level, each.name))


def read_each(
    store: Store, names: Sequence[SegmentName]
) -> Iterator[Segment | DamagedSegmentError]:
    """Read segments, in this order; one that is damaged is given as the error.

    One that was removed since it was listed is left out: it is in another one. Raises StoreError.
    """
    paths = [each.path for each in names]
    for name, data in zip(names, store.read_each(paths), strict=True):
        if data is None:
            continue
        try:
            yield parse(name, data)
        except DamagedSegmentError as error:
            error.name = name.name
            yield error


def parse(name: SegmentName, data: bytes) -> Segment:
    """Read a segment's bytes. Raises DamagedSegmentError."""
    try:
        return _parsed(name, data)
    except DamagedSegmentError:
        raise
    except (
        *(zlib.error, ValueError, LookupError, TypeError, AttributeError),
        *(ArithmeticError, RecursionError, MemoryError),
    ) as error:
        raise DamagedSegmentError(f"{name.path} is damaged: {error}") from None


def _parsed(name: SegmentName, data: bytes) -> Segment:
    reader = zlib.decompressobj(wbits=31)
    text = reader.decompress(data, _LARGEST)
    if reader.unconsumed_tail or not reader.eof or _digest(text) != name.digest:
        raise DamagedSegmentError(f"{name.path} is not what its name says")
    head, names, lines = text.split(b"\n", 2)
    header, entries = json.loads(head), json.loads(names)
    if header.get("schema") != SCHEMA:
        raise DamagedSegmentError(f"{name.path} is of another schema: {header.get('schema')}")
    parts = header["parts"]
    if not all(map(_is_names, (entries, parts))):
        raise DamagedSegmentError(f"{name.path} has names that are none")
    return Segment(name, parts, entries, _rows(header["columns"], lines))


def _rows(columns: list[str], lines: bytes) -> list[Row]:
    """Read the lines of rows. Raises ValueError, LookupError and TypeError."""
    # One call for all lines: it takes half the time of one call for each.
    values = json.loads(b"[%b]" % lines.rstrip(b"\n").replace(b"\n", b","))
    if columns != list(NAMES):
        at = [columns.index(name) if name in columns else None for name in NAMES]
        values = [[None if i is None else row[i] for i in at] for row in values]
    return checked(values)


def _is_names(given: object) -> bool:
    """Whether something is a list of names of entries, or of segments."""
    if type(given) is not list or not {*map(type, given)} <= {str}:
        return False
    text = "".join(given)
    return text.isascii() and "\0" not in text and max(map(len, given), default=0) <= _LONGEST_NAME


def write(
    store: Store, level: int, parts: Iterable[str], entries: Iterable[str], found: Iterable[Row]
) -> SegmentName | None:
    """Write a segment, unless it is there; gives its name, None where it is too large.

    Raises StoreError.
    """
    names = sorted(set(entries))
    by_run = merged(found)
    header = {"schema": SCHEMA, "parts": sorted(parts), "columns": NAMES}
    lines = [header, names, *(by_run[key] for key in sorted(by_run))]
    text = "".join(f"{_line(line)}\n" for line in lines).encode()
    if len(text) > _LARGEST:
        return None
    first, last = (names[0], names[-1]) if names else ("0", "0")
    name = SegmentName(level, f"{first}_{last}_{len(names)}_{_digest(text)}")
    # No time and no name of a file in it: the same lines are the same bytes.
    store.write_once(name.path, gzip.compress(text, 6, mtime=0))
    return name


def compact(store: Store, entries: Sequence[str], known: Sequence[SegmentName]) -> list[Segment]:
    """Write one segment of each thousand old entries, and one of each ten segments.

    ``entries`` are the names of readable entries that are in no segment, ``known`` the segments
    that are in no other one. Gives the segments that are new. Raises StoreError.
    """
    new = []
    before = log_entries.name_before(AGE)
    old = sorted(name for name in entries if name < before)
    for first in range(0, min(len(old) - ENTRIES, MOST_AT_ONCE) + 1, ENTRIES):
        read = log_entries.read_rows(store, old[first : first + ENTRIES])
        found = [(name, row) for name, row in read if not isinstance(row, log_entries.Unreadable)]
        # What cannot be read stays in the log, for a newer version that can.
        names, rows = [name for name, _ in found], [row for _, row in found]
        written = write(store, 1, [], names, rows) if names else None
        if written is not None:
            new.append(Segment(written, [], names, rows))
    top = {*known, *(each.name for each in new)}
    level = 0
    while any(each.level > level for each in top):
        level += 1
        here = sorted(
            each.name for each in top if each.level == level and each.size * PARTS <= _MOST_ENTRIES
        )
        for first in range(0, len(here) - PARTS + 1, PARTS):
            joined = _join(store, level, here[first : first + PARTS])
            if joined is not None:
                new.append(joined)
                top.add(joined.name)
    return new


def _join(store: Store, level: int, names: list[str]) -> Segment | None:
    """Write one segment of several; nothing if one of them cannot be read."""
    places = [SegmentName(level, name) for name in names]
    read = list(read_each(store, places))
    whole = [each for each in read if isinstance(each, Segment)]
    if len(whole) < len(names):
        return None
    entries = sorted({name for each in whole for name in each.entries})
    found = list(merged(row for each in whole for row in each.rows).values())
    name = write(store, level + 1, names, entries, found)
    return None if name is None else Segment(name, names, entries, found)


def covered_entries(store: Store) -> set[str]:
    """Return the names of the log's entries that a whole, verified segment has.

    `levada gc` may remove these entries. Raises StoreError.
    """
    whole = _whole(store)
    return {name for segment in whole for name in segment.entries}


def covered_segments(store: Store) -> set[str]:
    """Return the paths of the segments that a whole, verified segment of a higher level has.

    Raises StoreError.
    """
    return {
        SegmentName(segment.name.level - 1, part).path
        for segment in _whole(store)
        for part in segment.parts
    }


def _whole(store: Store) -> Iterator[Segment]:
    for segment in read_each(store, listed(store)):
        if isinstance(segment, Segment):
            yield segment


def _digest(text: bytes) -> str:
    return digest_of(text).partition(":")[2][:16]


def _line(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
