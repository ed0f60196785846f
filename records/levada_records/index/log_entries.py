"""The log of a store, which `levada.index_log` writes: entries by name, and their rows."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from levada.index_log import FOLDER as FOLDER
from levada.index_log import entry_time

from .rows import key_of_entry, row_of_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from levada.store import Store

    from .rows import Row, RunKey

#: Seconds by which the clocks of writers may differ: what is that old is listed again each time.
CLOCK_DIFFERENCE = 86_400.0
_ENDING = ".json"


class Unreadable(NamedTuple):
    """An entry that is damaged, or of a newer schema."""

    run: RunKey | None  #: which run it is of, if it says so


def names_after(store: Store, after: str) -> list[str]:
    """List the names of entries that come after a text, in order, without ``.json``.

    Raises StoreError.
    """
    listed = store.list_after(FOLDER, after) if after else store.list(FOLDER)
    return [name.removesuffix(_ENDING) for name in listed if name.endswith(_ENDING)]


def read_rows(store: Store, names: Iterable[str]) -> Iterator[tuple[str, Row | Unreadable]]:
    """Read entries; yields the name of each with its row.

    What was removed since it was listed is left out: it is in a segment. Raises StoreError.
    """
    names = list(names)
    paths = [path_of(name) for name in names]
    for name, data in zip(names, store.read_each(paths), strict=True):
        if data is not None:
            yield name, _row_of(name, data)


def path_of(name: str) -> str:
    """Return the path of an entry in the store."""
    return f"{FOLDER}/{name}{_ENDING}"


def name_before(seconds: float) -> str:
    """Return a text that sorts as an entry of ``seconds`` ago does.

    >>> name_before(0) <= "20991231"
    True
    """
    return entry_time(int((time.time() - seconds) * 1e9))


def name_earlier(name: str, seconds: float) -> str:
    """Return a text that sorts as an entry that was written ``seconds`` before another one.

    >>> name_earlier("20260102T150405.000000Z-1f3a9c00", 5)
    '20260102T150400.000000Z'
    """
    from datetime import datetime, timedelta

    try:
        written = datetime.strptime(f"{name[:22]}+0000", "%Y%m%dT%H%M%S.%f%z")
        return (written - timedelta(seconds=seconds)).strftime("%Y%m%dT%H%M%S.%fZ")
    except (ValueError, OverflowError):  # somebody else's file: all is listed again
        return ""


def _row_of(name: str, data: bytes) -> Row | Unreadable:
    try:
        entry = json.loads(data)
        found = row_of_entry(name, entry)
    except (ValueError, RecursionError):
        return Unreadable(None)
    return Unreadable(key_of_entry(entry)) if found is None else found
