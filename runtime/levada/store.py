"""The store: content-addressed blobs, write-once documents and logs, in a folder or a bucket.

::

    store.json                    what this folder or prefix is
    blobs/sha256/ab/abcd…         written once, named by what is in them
    runs/… cache/… models/…       documents, written once; logs

`Store` is the protocol. ``levada.stores`` has what implements it, found by the scheme of the URL.
"""

from __future__ import annotations

import errno
import os

from levada.artifact import CorruptArtifact
from levada.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from hashlib import _Hash
    from importlib.metadata import EntryPoint
    from io import FileIO
    from types import TracebackType
    from typing import BinaryIO, Self

    #: The name `list` is a method's here.
    Names = list[str]

SCHEMA = "levada.store/1"
CHUNK = 1 << 20  # bytes
#: The schemes of stores in buckets. Others are found by entry points, which takes 0.1 s.
BUCKETS = frozenset({"s3", "gs", "az", "memory"})
#: Bytes of a document. A larger one was not written by Levada; it is not read into memory.
MAX_DOCUMENT = 256 << 20
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:@=-")
_HEX = frozenset("0123456789abcdef")


class StoreError(Exception):
    """The store cannot be used. The message says why, and a way out."""


class UnknownStore(StoreError):  # noqa: N818
    """There is nothing here that opens such a URL."""


class MissingBlob(StoreError):  # noqa: N818
    """A blob is not in the store."""


class DamagedBlob(StoreError, CorruptArtifact):  # noqa: N818
    """A blob is not what its digest says."""

    def __init__(self, digest: str, url: str) -> None:
        super().__init__(f"{digest} in the store {url} is damaged; run the step that made it again")


def digest_of(data: bytes) -> str:
    """Give the digest of some bytes, ``sha256:<hex>``."""
    return f"sha256:{sha256(data).hexdigest()}"


def temporary_path() -> str:
    """Give a path of this machine where nothing is, in the folder for temporary files."""
    folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  nobody else can guess the name
    return os.path.join(folder, f"levada-{os.getpid()}-{os.urandom(8).hex()}")


def write_all(file: FileIO, data: bytes | memoryview) -> None:
    """Write some bytes to an unbuffered file, which may take a part of them where it has no room.

    Raises OSError.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def quote_name(name: str) -> str:
    """Turn any text into one component of a store's path: percent-quoted, never ``.`` or ``..``."""
    if name.strip(".") == "":
        return "".join("%2E" for _ in name) or "%"
    quoted = []
    for character in name:
        if character in _SAFE:
            quoted.append(character)
        else:
            quoted += [f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass")]
    return "".join(quoted)


def unquote_name(name: str) -> str:
    """Undo `quote_name`."""
    if name == "%":
        return ""
    head, *rest = name.split("%")
    data = head.encode("utf-8", "surrogatepass")
    for part in rest:
        data += bytes.fromhex(part[:2]) + part[2:].encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "surrogatepass")


def open_store(url: str) -> Store:
    """Open the store at a path or URL; nothing is created before the first write.

    A scheme that is not Levada's own is looked up among the entry points ``levada.stores``. Raises
    StoreError if nothing can be a store there.
    """
    scheme, separator, rest = url.partition("://")
    if not url or "\0" in url:
        raise StoreError("a store needs a path or a URL, for example .levada or file:///srv/levada")
    from levada.stores.directory import DirectoryStore

    if not separator:
        path = os.path.expanduser(url)
        if path.startswith("~"):
            user = path.partition("/")[0]
            raise StoreError(
                f"the store {url} has no place: there is no home folder of {user}; write the whole"
                f" path, or ./{url} for a folder of that name"
            )
        return DirectoryStore(path)
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if not slash or host not in ("", "localhost"):
            raise StoreError(f"{url} names no local folder; write file:///path/to/folder")
        try:
            return DirectoryStore("/" + unquote_name(path))
        except ValueError as error:
            raise StoreError(f"{url} is not a URL: {error}") from None
    if scheme in BUCKETS:
        from levada.stores.bucket import BucketStore
        from levada.stores.bucket_clients import check_installed

        bucket = BucketStore(url)
        check_installed(bucket.url)
        return bucket
    return _open_by_entry_point(scheme, url)


def url_problem(url: str) -> str:
    """Say why nothing here can open a URL; nothing if something can. No request is made.

    >>> url_problem("hdfs://cluster/levada")
    'no store for hdfs:// is installed; …'
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme == "file":
        return ""
    if scheme == "memory":
        return f"{url} is a store of one process, for tests"
    try:
        if scheme in BUCKETS:
            from levada.stores.bucket import BucketStore

            BucketStore(url)  # whether its client is there does not matter where nothing runs
        else:
            _entry_point(scheme)
    except StoreError as error:
        return str(error)
    return ""


def _open_by_entry_point(scheme: str, url: str) -> Store:
    store: Store = _entry_point(scheme).load()(url)
    return store


def _entry_point(scheme: str) -> EntryPoint:
    from importlib.metadata import entry_points

    for entry in entry_points(group="levada.stores", name=scheme):
        return entry
    raise UnknownStore(
        f"no store for {scheme}:// is installed; use a path, or a URL of s3://, gs:// or az://, or"
        f" install a distribution with an entry point `{scheme}` in the group `levada.stores`"
    )


class Store:
    """What every kind of store can do; a kind implements what raises NotImplementedError.

    Paths have components as `quote_name` gives them, divided by ``/``. Everything raises StoreError
    where the store cannot be used. `levada.testing.check_store` tries all of this on a store.
    """

    url: str
    _warnings: Names = []  # noqa: RUF012  never changed, only replaced

    def prepare(self) -> None:
        """Create the store if it is not there, and make sure that it can be written to."""
        raise NotImplementedError

    def local_folders(self) -> Names:
        """Return the folders of this machine that are the store's: absolute paths.

        What is read in them while a step runs is no data of the step.
        """
        return []

    def preload(self) -> None:
        """Load what the processes need that are forked from this one; the store is not touched."""

    # ---------------------------------------------------------------- blobs

    def publish(self, digest: str, temporary: str) -> None:
        """Make a complete file of this machine the blob of that digest; the file is gone then.

        It replaces a blob of that name: they are equal, unless the one that is there is damaged.
        """
        raise NotImplementedError

    def publish_small(self, digest: str, data: bytes) -> None:
        """Store a blob that is in memory."""
        raise NotImplementedError

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob to read, unverified; it can be sought in. Raises MissingBlob."""
        raise NotImplementedError

    def blob_path(self, digest: str) -> str | None:
        """Give a local path of the blob, to be read only; None if it is not there."""
        raise NotImplementedError

    def new_temporary(self) -> tuple[FileIO, str]:
        """Make a file of this machine for a blob to be; gives it, open for writing, and its path.

        The file is unbuffered. By default it is in the folder for temporary files.
        """
        path = temporary_path()
        try:
            return open(path, "xb", buffering=0), path
        except OSError as error:
            raise self.local_error(error) from error

    def local_error(self, error: OSError) -> StoreError:
        """Say in words why a file of `new_temporary` cannot be made or written."""
        return local_error(error, "the folder for temporary files")

    def blob_writer(self, expected: str | None = None) -> BlobWriter:
        """Open a new blob: hashed while it is written, published when its block ends well.

        One whose digest is not the ``expected`` one is not: that raises DamagedBlob.
        """
        return BlobWriter(self, expected)

    def blob_uri(self, digest: str) -> str:
        """Give the blob's address for people and other tools."""
        return f"{self.url}/{blob_name(digest)}"

    def put_blob(self, data: bytes) -> str:
        """Store some bytes and give their digest."""
        with self.blob_writer() as writer:
            writer.write(data)
        return writer.digest

    def put_blob_file(self, path: str | os.PathLike[str]) -> tuple[str, int]:
        """Store a file's content; gives its digest and size in bytes."""
        with open(path, "rb", buffering=0) as source, self.blob_writer() as writer:
            while chunk := source.read(CHUNK):
                writer.write(chunk)
        return writer.digest, writer.size

    def read_blob(self, digest: str) -> bytes:
        """Read a blob whole and verified. Raises MissingBlob or DamagedBlob."""
        with self.open_blob(digest) as blob:
            data = blob.read()
        if digest_of(data) != digest:
            raise DamagedBlob(digest, self.url)
        return data

    def check_blob(self, digest: str) -> int:
        """Make sure that what is read of a blob is what its name says; gives its size in bytes.

        Raises MissingBlob or DamagedBlob.
        """
        with self.open_blob(digest) as blob:
            size = blob.seek(0, os.SEEK_END)
            hasher = sha256(b"", size)
            blob.seek(0)
            while chunk := blob.read(CHUNK):
                hasher.update(chunk)
        if f"sha256:{hasher.hexdigest()}" != digest:
            raise DamagedBlob(digest, self.url)
        return size

    def verify_blob(self, digest: str) -> bool:
        """Whether a blob is in the store and is what its name says."""
        try:
            self.check_blob(digest)
        except (StoreError, OSError):
            return False
        return True

    # ---------------------------------------------------------------- documents

    def write_once(self, path: str, data: bytes) -> bool:
        """Write a document that must not exist yet; False, and nothing changed, if it does.

        Atomic, also among processes and machines: of several who write, one gets True.
        """
        raise NotImplementedError

    def read(self, path: str) -> bytes:
        """Read a document. Raises FileNotFoundError, also for one of over MAX_DOCUMENT bytes."""
        raise NotImplementedError

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """Read a document with a tag of what it is now, for `compare_and_swap`."""
        raise NotImplementedError

    def compare_and_swap(self, path: str, tag: str, data: bytes) -> bool:
        """Replace a document if it is still what `read_tagged` gave; False if it is not."""
        raise NotImplementedError

    def delete(self, path: str) -> None:
        """Remove a document, log or blob; nothing happens where there is none."""
        raise NotImplementedError

    def delete_all(self, paths: Names) -> None:
        """Remove several documents, logs or blobs; nothing happens where there is none."""
        for path in paths:
            self.delete(path)

    def list(self, path: str) -> Names:
        """List the names in a folder, sorted; empty if there is none."""
        raise NotImplementedError

    def list_after(self, path: str, name: str) -> Names:
        """List the names in a folder that come after ``name``, sorted by code points."""
        return [each for each in self.list(path) if each > name]

    def folder_tag(self, path: str) -> str | None:
        """Return a text that is another one whenever a name in a folder was added or removed.

        None where finding out takes as long as listing the folder, or where it is not certain.
        """

    def read_each(self, paths: Names) -> Iterator[bytes | None]:
        """Yield the documents of these paths, in their order; None for one that is not there.

        A store that is far away reads several at a time.
        """
        for path in paths:
            try:
                yield self.read(path)
            except FileNotFoundError:
                yield None

    def walk(self, path: str = "") -> Iterator[tuple[str, int]]:
        """Yield the path and the size in bytes of all that is below a folder, in any order."""
        raise NotImplementedError

    def walk_times(self, path: str = "") -> Iterator[tuple[str, int, int]]:
        """Yield what `walk` does, each with the time at which it was written, in nanoseconds.

        A blob that is stored once more, which is there already, counts as written then: that is
        how `levada gc` knows that it is needed again.
        """
        raise NotImplementedError

    def remove_unchanged(self, path: str, written: int) -> bool:
        """Remove what is there if it was written at that time (of `walk_times`); else False."""
        raise NotImplementedError

    def prune(self, path: str) -> None:
        """Remove the folders below ``path``, itself too, in which nothing is."""

    def clock_skew(self, path: str) -> float:
        """Write a document there; give by how many seconds the store's clock is ahead of ours."""
        raise NotImplementedError

    def clear_way(self, path: str) -> None:
        """Move away what is in the place of a folder on the way to a document, if anything is."""

    def warn(self, text: str) -> None:
        """Keep a sentence that people are to be told of this store."""
        self._warnings = [*self._warnings, text]

    def take_warnings(self) -> Names:
        """Return what people are to be told since the last call, a sentence for each thing."""
        told, self._warnings = self._warnings, []
        return told

    # ---------------------------------------------------------------- logs

    def local_path(self, path: str) -> str | None:
        """Give a path of this machine that is this place in the store, to append to.

        Its folder is made. None if the store is not on this machine: a log is then written to
        a file elsewhere, and stored by `levada.log_upload`.
        """
        raise NotImplementedError

    def write_file(self, path: str, local: str) -> None:
        """Store a file of this machine, of any size, as a log; it replaces what is there."""
        raise NotImplementedError

    def open_at(self, path: str, offset: int) -> BinaryIO:
        """Open a log to read from a position in bytes. Raises FileNotFoundError."""
        raise NotImplementedError


class BlobWriter:
    """A binary file that becomes a blob. ``digest`` and ``size`` (bytes) are set at the end.

    Up to a megabyte is held in memory; only what is larger is written before it is complete.
    """

    digest: str
    closed = False

    def __init__(self, store: Store, expected: str | None = None) -> None:
        self._store = store
        self._expected = expected
        self._buffer = bytearray()
        self._file: FileIO | None = None
        self._path = ""
        self._hasher: _Hash
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append some bytes; gives how many."""
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else data
        self.size += len(view)
        if self._file is None:
            self._buffer += view
            if len(self._buffer) >= CHUNK:
                self._spill()
        else:
            self._hasher.update(view)
            self._append(self._file, view)
        return len(view)

    def restart(self) -> None:
        """Forget what was written, and begin anew."""
        if self._file is not None:
            _close_quietly(self._file)
            unlink(self._path)
        self._file, self._path, self._buffer, self.size = None, "", bytearray(), 0

    def _spill(self) -> None:
        self._file, self._path = self._store.new_temporary()
        self._hasher = sha256(self._buffer)
        self._append(self._file, memoryview(self._buffer))
        self._buffer = bytearray()

    def _append(self, file: FileIO, data: bytes | memoryview) -> None:
        try:
            write_all(file, data)
        except OSError as error:
            raise self._store.local_error(error) from error

    def tell(self) -> int:
        """Give the number of bytes written so far."""
        return self.size

    def flush(self) -> None:
        """Do nothing: nobody reads a blob before it is published."""

    def readable(self) -> bool:
        """Say that this is a file to write to."""
        return False

    def writable(self) -> bool:
        """Say that this is a file to write to."""
        return not self.closed

    def seekable(self) -> bool:
        """Say that what is written stays."""
        return False

    def close(self) -> None:
        """Publish the blob."""
        if self.closed:
            return
        self.closed = True
        if self._file is None:
            data = bytes(self._buffer)
            self._set_digest(digest_of(data))
            self._store.publish_small(self.digest, data)
            return
        try:
            self._file.close()
            self._set_digest(f"sha256:{self._hasher.hexdigest()}")
            self._store.publish(self.digest, self._path)
        except OSError as error:
            raise self._store.local_error(error) from error
        finally:
            unlink(self._path)

    def _set_digest(self, digest: str) -> None:
        if self._expected not in (None, digest):
            raise DamagedBlob(str(self._expected), self._store.url)
        self.digest = digest

    def discard(self) -> None:
        """Throw away what was written."""
        self.closed = True
        if self._file is not None:
            _close_quietly(self._file)
            unlink(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def blob_name(digest: str) -> str:
    """Give the path of a blob in its store. Raises StoreError for what is no digest."""
    algorithm, _, name = digest.partition(":")
    if algorithm != "sha256" or len(name) != 64 or not _HEX.issuperset(name):
        raise StoreError(f"{digest[:100]!r} is not a digest; one reads sha256:<64 hex digits>")
    return f"blobs/sha256/{name[:2]}/{name}"


def local_error(error: OSError, what: str) -> StoreError:
    """Say in words why a folder or file of this machine, which is ``what``, cannot be used."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"no space is left for {what}; free some or use another folder")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(
            f"{what} cannot be used: {error.strerror} ({error.filename});"
            f" give the user {os.geteuid()} the right to, or use another folder"
        )
    return StoreError(f"{what} failed: {error}")


def unlink(path: str) -> None:
    """Remove a file of this machine, if it can be removed."""
    try:
        os.unlink(path)
    except OSError:
        return  # Swept later.


def _close_quietly(file: FileIO) -> None:
    try:
        file.close()
    except OSError:
        return  # It is thrown away.
