"""Reads the log or the metrics of an attempt, of any store, while it is written or later."""

from __future__ import annotations

from levada.store import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.store import Store


class LogReader:
    """Gives what is new in a log each time it is asked.

    A log is one file once the attempt is over, and from the start where the store is a folder;
    otherwise it is in parts until then (see `levada.log_upload`).
    """

    def __init__(self, store: Store, folder: str, name: str = "log") -> None:
        self._store = store
        self._folder = folder
        self._name = name
        self._offset = 0
        self._last = name  #: the part that was read last; parts come after the whole by name
        self._is_whole = False

    def new(self) -> Iterator[bytes]:
        """Yield what has been written since the last call, in pieces that bound the memory.

        Raises StoreError.
        """
        if not self._is_whole:
            yield from self._new_parts()
        if self._is_whole:
            yield from self._rest()

    def _new_parts(self) -> Iterator[bytes]:
        names = self._store.list(self._folder)
        if self._name in names:
            self._is_whole = True
            return
        for name in names:
            if name.startswith(f"{self._name}.") and name > self._last:
                try:
                    data = self._store.read(f"{self._folder}/{name}")
                except FileNotFoundError:  # the whole has taken its place
                    self._is_whole = True
                    return
                self._last = name
                self._offset += len(data)
                yield data

    def _rest(self) -> Iterator[bytes]:
        try:
            with self._store.open_at(f"{self._folder}/{self._name}", self._offset) as file:
                while data := file.read(CHUNK):
                    self._offset += len(data)
                    yield data
        except FileNotFoundError:
            return
