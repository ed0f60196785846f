"""The blobs of buckets that this machine has read or written lately, in a folder of the user.

The folder is ``$LEVADA_BLOB_CACHE``, else ``levada/blobs`` in ``$XDG_CACHE_HOME`` or ``~/.cache``,
else, where that cannot be written, one of the folder for temporary files. It holds at most
``$LEVADA_BLOB_CACHE_SIZE`` (bytes, or 20GiB and the like; 10 GiB if unset); what was used least
lately is removed first. One folder serves all stores, since a blob's name is its content's.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from levada.store import StoreError, blob_name, local_error

from .directory import DirectoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

FOLDER, SIZE = "LEVADA_BLOB_CACHE", "LEVADA_BLOB_CACHE_SIZE"
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DEFAULT_SIZE = 10 << 30  # bytes
#: Seconds in which what was used is in use (another process may have been given its path), and
#: between two looks at all of it.
_IN_USE = 600.0


class BlobCache(DirectoryStore):
    """A folder of blobs that may go at any time; each use of one keeps it longer."""

    def __init__(self, folder: str | None = None, size: int | None = None) -> None:
        super().__init__(_folder() if folder is None else folder)
        self._size = _size() if size is None else size
        self._room = self._size // 10  #: bytes that may be added before all of it is looked at

    def local_error(self, error: OSError) -> StoreError:
        """Say in words why the folder cannot be used."""
        return local_error(error, f"the folder of blobs {self.root} ({FOLDER})")

    def find(self, digest: str) -> BinaryIO | None:
        """Open a blob that is here, from now on the one that was used last."""
        path = self.blob_path(digest)
        if path is None:
            return None
        try:
            os.utime(path)
            return open(path, "rb")
        except OSError:  # another process has made room
            return None

    def remove(self, digest: str) -> bool:
        """Remove a blob that is damaged; whether it was here."""
        was_here = self.blob_path(digest) is not None
        self.delete(blob_name(digest))
        return was_here

    def add(self, digest: str, temporary: str) -> None:
        """Take a file of `new_temporary` as the blob, and make room for it."""
        try:
            size = os.path.getsize(temporary)
        except OSError as error:
            raise self.local_error(error) from error
        self.publish(digest, temporary)
        self._make_room(size)

    def add_small(self, digest: str, data: bytes) -> None:
        """Take some bytes as the blob, and make room for it."""
        self.publish_small(digest, data)
        self._make_room(len(data))

    def _make_room(self, size: int) -> None:
        """Remove what was used least lately.

        All is looked at once for a tenth of the size, and when nobody has for some time.
        """
        self._room -= size
        if self._room > 0 and self._was_looked_at():
            return
        found = sorted(self._blobs())
        total = sum(size for _, size, _ in found)
        for used, size, path in found:
            if total <= self._size or used > time.time() - _IN_USE:
                break
            try:
                os.unlink(path)
            except OSError:
                continue  # another process makes room too
            total -= size
        self._room = self._size // 10

    def _was_looked_at(self) -> bool:
        """Whether a process has looked at all of it lately; if not, this one is about to."""
        mark = f"{self.root}/looked-at"
        try:
            if os.stat(mark).st_mtime > time.time() - _IN_USE:
                return True
            os.utime(mark)
        except FileNotFoundError:
            with suppress(OSError), open(mark, "xb"):
                pass
        except OSError:
            return True  # It is another user's.
        return False

    def _blobs(self) -> Iterator[tuple[float, int, str]]:
        """Yield when each was used last, its size and its path."""
        top = f"{self.root}/blobs/sha256"
        for folder in self.list("blobs/sha256"):
            try:
                entries = list(os.scandir(f"{top}/{folder}"))
            except OSError:
                continue
            else:
                for entry in entries:
                    try:
                        state = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    yield state.st_mtime, state.st_size, entry.path


def _folder() -> str:
    given = os.environ.get(FOLDER)
    if given:
        return given
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(home, "levada", "blobs")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return _temporary_folder()
    return folder if os.access(folder, os.W_OK) else _temporary_folder()


def _temporary_folder() -> str:
    """Make one that no other user has made for us, or can write to."""
    top = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  whose it is gets checked
    folder = os.path.join(top, f"levada-blobs-{os.geteuid()}")
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        state = os.lstat(folder)
    except OSError as error:
        raise StoreError(
            f"blobs cannot be kept on this machine: {error}; set {FOLDER} to a folder that can be"
            " written"
        ) from error
    if state.st_uid == os.geteuid() and state.st_mode & 0o170022 == 0o040000:
        return folder
    from tempfile import mkdtemp

    return mkdtemp(prefix="levada-blobs-")


def _size() -> int:
    given = os.environ.get(SIZE)
    if not given:
        return _DEFAULT_SIZE
    number = given.rstrip("KMGTiB")
    unit = _UNITS.get(given[len(number) :])
    if unit is None or not number.isascii() or not number.isdigit():
        raise StoreError(f"{SIZE} is {given}; it is a number of bytes, or one like 20GiB")
    return int(number) * unit
