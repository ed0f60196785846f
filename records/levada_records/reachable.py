"""Which blobs the documents of a store refer to, directly and by other blobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from levada import records
from levada.artifact import CorruptArtifact
from levada.store import CHUNK, MissingBlob

from levada_records import digests
from levada_records.retention import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from levada.store import Store

T = TypeVar("T")

#: Folders of a store whose documents keep what they refer to, whatever these documents are. A new
#: folder has to be named here before anything is written to it: what is not known is not Levada's.
_KEEPING = ("data", "deployments", "environments", "models")
#: The other folders of a store.
_OTHERS = frozenset(("blobs", "cache", "gc", "index", "runs", "tmp"))
#: Files of runs in which nothing is referred to.
_LOGS = frozenset(("log", "metrics", records.STARTED))
_KEY = re.compile(rb'"key": ?"([0-9a-f]{64})"')
#: Bytes of two chunks of a blob that overlap: longer than any reference.
_OVERLAP = 1024
#: Documents, and their bytes, that are in memory at once; one that is larger is alone.
_BATCH, _BATCH_BYTES = 2_000, 64 << 20


class Entry(NamedTuple):
    """An entry of the cache that may go."""

    path: str
    size: int
    artifacts: frozenset[bytes] | None  #: of its values; None of one that cannot be read


class Reachable:
    """Collects digests, of 32 bytes each, that are needed."""

    def __init__(self, store: Store, progress: Callable[[str, int], None]) -> None:
        self._store = store
        self._progress = progress
        self.live: set[bytes] = set()
        self.keys: set[bytes] = set()  #: of the cache, in records
        self.unreadable: list[str] = []  #: paths of documents
        self.unknown: set[bytes] = set()  #: what may be blobs that refer to others
        self._referring: set[bytes] = set()
        self._looked_into: set[bytes] = set()
        self._texts: list[bytes] = []
        self._read = 0

    def add_documents(self, documents: Iterable[tuple[str, int]]) -> None:
        """Add what documents, each with its size, refer to. Raises StoreError."""
        for _, data in self._read_each(documents):
            self.keys.update(bytes.fromhex(key.decode()) for key in _KEY.findall(data))
            self._add(digests.find(data))

    def add_runs(self, folders: set[str]) -> None:
        """Add what the documents of these runs refer to. Raises StoreError."""
        self.add_documents(
            (path, size)
            for path, size in self._store.walk("runs")
            if path.rpartition("/")[2].partition(".")[0] not in _LOGS
            and "/".join(path.split("/", 3)[:3]) in folders
        )

    def add_cache(self, is_kept: Callable[[bytes, int], bool]) -> list[Entry]:
        """Add what the entries of the cache refer to that are kept; return the others.

        ``is_kept`` gets the key and the time at which the entry was written, in nanoseconds.
        """
        others: list[Entry] = []
        weak: dict[str, int] = {}
        kept: list[tuple[str, int]] = []
        for path, size, written in self._store.walk_times("cache"):
            key = path.split("/")[1]
            if len(key) == 64 and is_kept(_digest(key), written):
                kept.append((path, size))
            else:
                weak[path] = size
        self.add_documents(kept)
        for path, data in self._read_each(weak.items(), damaged=b""):
            found = frozenset(digests.find(data).artifacts) if data else None
            others.append(Entry(path, weak[path], found))
        return sorted(others, key=lambda entry: entry.path)

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Add what entries of the cache refer to that stay after all. Raises StoreError."""
        self.add_documents((entry.path, entry.size) for entry in entries)

    def look_into_trees(self) -> None:
        """Follow the blobs that refer to others. Raises StoreError."""
        while pending := self._referring - self._looked_into:
            self._look_into(pending)

    def look_into_unknown(self, is_there: set[bytes]) -> None:
        """Follow what may be blobs that refer to others, and is there. Raises StoreError."""
        listed = self.unknown
        self._looked_into |= listed - is_there
        self._look_into((listed & is_there) - self._looked_into)
        while pending := (self._referring | self.unknown) - self._looked_into:
            self._look_into(pending)

    def _look_into(self, pending: set[bytes]) -> None:
        self._looked_into |= pending
        for batch in _batches((digest, 0) for digest in sorted(pending)):
            for found in in_parallel(self._blob, batch):
                for each in found:
                    self._add(each)
            self._note(len(batch))

    def _add(self, found: digests.Found) -> None:
        self.live |= found.all
        self._referring |= found.referring
        self.unknown |= found.unknown

    def _blob(self, digest: bytes) -> list[digests.Found]:
        """Find what a blob refers to; nothing if it is not there: then it cannot be loaded."""
        found = []
        try:
            with self._store.open_blob(f"sha256:{digest.hex()}") as blob:
                rest = b""
                while chunk := blob.read(CHUNK):
                    found.append(digests.find(rest + chunk))
                    rest = chunk[-_OVERLAP:]
        except (MissingBlob, CorruptArtifact, FileNotFoundError):
            return found
        return found

    def _read_each(
        self, documents: Iterable[tuple[str, int]], *, damaged: bytes | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Read several documents at once; one that is no JSON is noted, or given as ``damaged``."""
        for batch in _batches(documents):
            for path, data in zip(batch, in_parallel(self._document, batch), strict=True):
                if data is None:
                    continue  # removed since it was listed
                is_damaged = path.endswith(".json") and records.parse_document(data) is None
                if is_damaged and damaged is None:
                    self.unreadable.append(path)
                yield path, damaged if is_damaged and damaged is not None else data
            self._note(len(batch))

    def _document(self, path: str) -> bytes | None:
        try:
            return self._store.read(path)
        except FileNotFoundError:
            return None

    def _note(self, count: int) -> None:
        self._read += count
        self._progress("read", self._read)


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def other_documents(store: Store) -> list[tuple[str, int]]:
    """List the documents outside of runs that keep what they refer to, those of models for one.

    Each is given with its size in bytes.
    """
    return sorted(found for top in _KEEPING for found in store.walk(top))


def foreign_names(store: Store) -> list[str]:
    """List what is at the top of a store and is not Levada's. Nothing of it is read."""
    own = _OTHERS.union(_KEEPING, ("store.json",))
    return sorted(name for name in store.list("") if name not in own and not name.startswith("."))


def _batches(items: Iterable[tuple[T, int]]) -> Iterator[list[T]]:
    """Yield items, each given with its size, in lists that are bounded by number and by size."""
    batch: list[T] = []
    held = 0
    for item, size in items:
        if batch and (len(batch) == _BATCH or held + size > _BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += size
    if batch:
        yield batch
