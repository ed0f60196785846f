"""The journal of a run: what was taken note of, in order, for every driver that the run has.

Entry n is the document ``<run>/driver-journal/<n>.json``, written once. A driver that wants to note
something writes it as the next entry; if there is one by then, that one counts. An entry has
``time`` (seconds since the epoch) and one of these, or none where only a delay has passed:

- ``ended``: [node, map index, attempt] of attempts that are over, their records in the store;
- ``start``: [node, map index, attempt] of attempts that one Job runs, an Indexed Job if they are
  several: when drivers come and go, each attempt still has one Job;
- ``cancel``: why the run is to end; with ``force`` its ``finally`` regions as well.
"""

from __future__ import annotations

import time

from levada import records
from levada.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.driver.driver_types import JournalEntry
    from levada.store import Store

#: No id of a node has a hyphen.
FOLDER = "driver-journal"
#: Seconds in which a file that is there has to become visible: a network file system may be slow.
_PATIENCE = 90.0


class Journal:
    """Reads the entries one by one, and adds to them."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._folder = f"{run}/{FOLDER}"
        self._next = 1

    @property
    def number(self) -> int:
        """That of the last entry that was read or written."""
        return self._next - 1

    def read(self) -> JournalEntry | None:
        """The next entry, if there is one."""
        entry: JournalEntry | None = records.read_json(
            self._store, self.path(self._next), "journal"
        )
        if entry is not None:
            self._next += 1
        return entry

    def propose(self, entry: JournalEntry) -> JournalEntry:
        """Add an entry; gives the one that is there now, this or another driver's."""
        if self._store.write_once(self.path(self._next), records.document(entry)):
            self._next += 1
            return entry
        until = time.monotonic() + _PATIENCE
        while (found := self.read()) is None:
            if time.monotonic() > until:
                raise StoreError(f"{self.path(self._next)} is there, but cannot be read")
            time.sleep(0.2)
        return found

    def path(self, number: int) -> str:
        """Where an entry is in the store."""
        return f"{self._folder}/{number:08d}.json"
