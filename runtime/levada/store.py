"""The store: content-addressed blobs and write-once documents in a folder.

::

    store.json, .gitignore        what this folder is
    blobs/sha256/ab/abcd…         written once, named by what is in them
    runs/… cache/… models/…       documents, written once
    tmp/                          what is being written; swept when a day old

Nothing is locked: a file is written under ``tmp/`` and then renamed or linked to its name, so that
a reader sees all of it or nothing, and a process that dies leaves only a file in ``tmp/``. Nothing
is flushed to the disk by force either: a blob is verified against its digest when it is read.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from stat import S_ISDIR, S_ISREG

from levada.artifact import CorruptArtifact
from levada.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash
    from io import FileIO
    from types import TracebackType
    from typing import BinaryIO, Self

SCHEMA = "levada.store/1"
CHUNK = 1 << 20  # bytes
_TEMPORARY = "tmp"
#: Bytes of a document. A larger one was not written by Levada; it is not read into memory.
MAX_DOCUMENT = 256 << 20
_STALE = 86_400.0  # seconds after which a temporary file has no writer any more
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:@=-")
_HEX = frozenset("0123456789abcdef")
# What opening a path says if no regular file that may be read is there.
_NO_FILE = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM),
    *(errno.ELOOP, errno.ENXIO, errno.ENODEV),
)
# What `link` says where hard links do not exist, or not between these two places.
_NO_LINKS = (
    *(errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS),
    *(errno.EXDEV, errno.EINVAL, errno.EACCES),
)


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

    A scheme other than ``file`` is looked up among the entry points ``levada.stores``. Raises
    StoreError if nothing can be a store there.
    """
    scheme, separator, rest = url.partition("://")
    if not url or "\0" in url:
        raise StoreError("a store needs a path or a URL, for example .levada or file:///srv/levada")
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
    return _open_by_entry_point(scheme, url)


def _open_by_entry_point(scheme: str, url: str) -> Store:
    from importlib.metadata import entry_points

    for entry in entry_points(group="levada.stores", name=scheme):
        store: Store = entry.load()(url)
        return store
    raise UnknownStore(
        f"no store for {scheme}:// is installed; use a path or a file:// URL, or install a"
        f" distribution with an entry point `{scheme}` in the group `levada.stores`"
    )


class Store:
    """What every kind of store can do; a kind implements what raises NotImplementedError."""

    url: str

    def prepare(self) -> None:
        """Create the store if it is not there, and make sure that it can be written to."""
        raise NotImplementedError

    def blob_writer(self) -> BlobWriter:
        """Open a new blob: hashed while it is written, published when its block ends well."""
        raise NotImplementedError

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob to read, unverified. Raises MissingBlob."""
        raise NotImplementedError

    def blob_path(self, digest: str) -> str | None:
        """Give a local path of the blob, to be read only; None if it has none."""
        raise NotImplementedError

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

    def verify_blob(self, digest: str) -> bool:
        """Whether a blob is there and is what its name says."""
        try:
            with self.open_blob(digest) as blob:
                hasher = sha256(b"", os.fstat(blob.fileno()).st_size)
                while chunk := blob.read(CHUNK):
                    hasher.update(chunk)
        except (StoreError, OSError):
            return False
        return f"sha256:{hasher.hexdigest()}" == digest

    def write_once(self, path: str, data: bytes) -> bool:
        """Write a document that must not exist yet; False, and nothing changed, if it does."""
        raise NotImplementedError

    def read(self, path: str) -> bytes:
        """Read a document. Raises FileNotFoundError."""
        raise NotImplementedError

    def list(self, path: str) -> list[str]:
        """List the names in a folder, sorted; empty if there is none."""
        raise NotImplementedError

    def log_path(self, path: str) -> str | None:
        """Give a local path to append to, its folder made; None if the store has no such thing."""
        raise NotImplementedError


class BlobWriter:
    """A binary file that becomes a blob. ``digest`` and ``size`` (bytes) are set at the end.

    Up to a megabyte is held in memory; only what is larger is written before it is complete.
    """

    digest: str
    closed = False

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
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
            self._store.guard(self._file.write, view)
        return len(view)

    def restart(self) -> None:
        """Forget what was written, and begin anew."""
        if self._file is not None:
            _close_quietly(self._file)
            _unlink(self._path)
        self._file, self._path, self._buffer, self.size = None, "", bytearray(), 0

    def _spill(self) -> None:
        self._file, self._path = self._store.new_temporary()
        self._hasher = sha256(self._buffer)
        self._store.guard(self._file.write, self._buffer)
        self._buffer = bytearray()

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
            self.digest = digest_of(data)
            self._store.publish_small(self.digest, data)
        else:
            self.digest = f"sha256:{self._hasher.hexdigest()}"
            try:
                self._store.guard(self._file.close)
                self._store.publish(self.digest, self._path)
            except StoreError:
                _unlink(self._path)
                raise

    def discard(self) -> None:
        """Throw away what was written."""
        self.closed = True
        if self._file is not None:
            _close_quietly(self._file)
            _unlink(self._path)

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


class DirectoryStore(Store):
    """A store in a local folder, or in one that is mounted."""

    __slots__ = ("_prepared", "_real_root", "root", "url")

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self._real_root = os.path.realpath(self.root)
        self.url = "file://" + _quote_path(self.root)
        self._prepared = 0
        self._check()

    def _check(self) -> None:
        try:
            with _open_file(f"{self.root}/store.json") as file:
                found = file.read(65_536)
        except FileNotFoundError as error:
            above_is_no_folder = isinstance(error.__cause__, NotADirectoryError)
            if above_is_no_folder or (os.path.lexists(self.root) and not os.path.isdir(self.root)):
                raise StoreError(_not_a_folder(self.root)) from None
            if os.path.lexists(f"{self.root}/store.json"):
                raise StoreError(
                    f"{self.root}/store.json is not a file that can be read, so {self.root} is not"
                    " a store; remove it or use another folder"
                ) from None
            return
        except OSError as error:
            raise self._error(error) from error
        if f'"{SCHEMA}"'.encode() not in found:
            raise StoreError(
                f"the store at {self.root} was made by another version of Levada (its store.json"
                f" does not say {SCHEMA}); use that version or another folder"
            )

    def prepare(self) -> None:
        """Create the folder with its ``store.json``; once in a process, forked ones included."""
        if self._prepared == os.getpid():
            return
        try:
            os.makedirs(f"{self.root}/{_TEMPORARY}", exist_ok=True)
            self._write_new(".gitignore", b"*\n")
            self._write_new("store.json", f'{{"schema":"{SCHEMA}"}}\n'.encode())
        except OSError as error:
            raise self._error(error) from error
        self._prepared = os.getpid()
        self.sweep()

    def _write_new(self, name: str, data: bytes) -> None:
        if not os.path.exists(f"{self.root}/{name}"):
            self._link_new(data, f"{self.root}/{name}")

    def sweep(self, older_than: float = _STALE) -> None:
        """Remove the temporary files that writers left ``older_than`` seconds ago or earlier."""
        from time import time

        if os.path.islink(f"{self.root}/{_TEMPORARY}"):
            return  # What is old there may be somebody else's.
        try:
            with os.scandir(f"{self.root}/{_TEMPORARY}") as entries:
                for entry in entries:
                    state = entry.stat(follow_symlinks=False)
                    if state.st_mtime > time() - older_than:
                        continue
                    if S_ISDIR(state.st_mode):  # One that was in the place of a file.
                        from shutil import rmtree

                        rmtree(entry.path, ignore_errors=True)
                    else:
                        _unlink(entry.path)
        except OSError:
            return  # Another process sweeps too, or may and we may not.

    def blob_writer(self) -> BlobWriter:
        """Open a new blob. Raises StoreError as soon as it cannot be written."""
        return BlobWriter(self)

    def new_temporary(self) -> tuple[FileIO, str]:
        """Make a file in ``tmp/``; gives it, open for writing and unbuffered, and its path."""
        self.prepare()
        path = f"{self.root}/{_TEMPORARY}/{os.getpid()}-{os.urandom(8).hex()}"
        try:
            return open(path, "xb", buffering=0), path
        except OSError as error:
            raise self._error(error) from error

    def guard(
        self, operation: Callable[..., int | None], *arguments: memoryview | bytes | bytearray
    ) -> None:
        """Do some I/O on the store; an OSError becomes a StoreError. Short writes are completed."""
        try:
            done = operation(*arguments)
            while arguments and done is not None and done < len(arguments[0]):
                done += operation(memoryview(arguments[0])[done:]) or 0
        except OSError as error:
            raise self._error(error) from error

    def publish(self, digest: str, temporary: str) -> None:
        """Give a complete temporary file its name. It replaces a blob of that name: they are
        equal, unless the one that is there is damaged.
        """  # noqa: D205
        path = f"{self.root}/{blob_name(digest)}"
        self._check_folder(path)
        try:
            os.chmod(temporary, 0o444)
            try:
                os.replace(temporary, path)
            except FileNotFoundError:
                os.makedirs(path.rpartition("/")[0], exist_ok=True)
                os.replace(temporary, path)
            except IsADirectoryError:
                self._move_away(path)
                os.replace(temporary, path)
        except OSError as error:
            raise self._error(error) from error

    def publish_small(self, digest: str, data: bytes) -> None:
        """Store a blob that is in memory, unless it is there already and undamaged."""
        try:
            with _open_file(f"{self.root}/{blob_name(digest)}") as file:
                if file.read(len(data) + 1) == data:
                    return
        except OSError:
            pass
        file, temporary = self.new_temporary()
        try:
            with file:
                self.guard(file.write, data)
            self.publish(digest, temporary)
        except BaseException:
            _unlink(temporary)
            raise

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob to read, unverified. Raises MissingBlob."""
        path = f"{self.root}/{blob_name(digest)}"
        try:
            return _open_file(path)
        except FileNotFoundError:
            raise MissingBlob(
                f"{digest} is not in the store {self.root}; run the step that made it again"
            ) from None
        except OSError as error:
            raise self._error(error) from error

    def blob_path(self, digest: str) -> str | None:
        """Give the blob's path. It must not be written to; None if the blob is not there."""
        path = f"{self.root}/{blob_name(digest)}"
        return path if _is_file(path) else None

    def write_once(self, path: str, data: bytes) -> bool:
        """Write a document unless it exists; atomic, also among processes and hosts."""
        target = self._document(path)
        self.prepare()
        try:
            os.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._check_folder(target)
            return self._link_new(data, target)
        except OSError as error:
            raise self._error(error) from error

    def _link_new(self, data: bytes, target: str) -> bool:
        temporary = f"{self.root}/{_TEMPORARY}/{os.getpid()}-{os.urandom(8).hex()}"
        try:
            _write_file(temporary, data)
            if os.path.lexists(target) and not _is_file(target):
                self._move_away(target)
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _create_without_links(target, data)
        finally:
            _unlink(temporary)
        return True

    def _check_folder(self, path: str) -> None:
        """Raise StoreError if a folder on the way to a file of the store is a link."""
        folder = os.path.dirname(path)
        if os.path.realpath(folder) != self._real_root + folder[len(self.root) :]:
            raise StoreError(
                f"{path} is not in the store {self.root}: a folder on the way to it is a link;"
                " replace the link by a folder"
            )

    def _move_away(self, path: str) -> None:
        """Make room for a file: a folder, link or pipe in its place is swept with ``tmp/``.

        Raises StoreError where a link leads out of the store.
        """
        self._check_folder(path)
        with suppress(FileNotFoundError):  # Another process may move it too.
            os.rename(path, f"{self.root}/{_TEMPORARY}/{os.getpid()}-{os.urandom(8).hex()}")

    def read(self, path: str) -> bytes:
        """Read a document. Raises FileNotFoundError, also for what Levada did not write there: a
        folder, link or pipe, or more than MAX_DOCUMENT bytes.
        """  # noqa: D205
        try:
            with _open_file(self._document(path)) as file:
                if os.fstat(file.fileno()).st_size <= MAX_DOCUMENT:
                    return file.read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._error(error) from error
        raise FileNotFoundError(errno.ENOENT, "too large for a document", path)

    def list(self, path: str) -> list[str]:
        """List the names in a folder, sorted; empty if there is none."""
        try:
            return sorted(os.listdir(self._document(path) if path else self.root))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._error(error) from error

    def log_path(self, path: str) -> str:
        """Give the local path of a file to append to, its folder made."""
        target = self._document(path)
        self.prepare()
        try:
            os.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._check_folder(target)
            if path.endswith("/log") and os.path.lexists(target) and not _is_file(target):
                self._move_away(target)
        except OSError as error:
            raise self._error(error) from error
        return target

    def _document(self, path: str) -> str:
        parts = path.strip("/").split("/")
        if "\0" in path or any(part in ("", ".", "..") for part in parts):
            raise StoreError(f"{path!r} is not a path in a store")
        return f"{self.root}/{'/'.join(parts)}"

    def _error(self, error: OSError) -> StoreError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreError(
                f"no space is left for the store at {self.root}; free some or use another folder"
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return StoreError(
                f"the store at {self.root} cannot be used: {error.strerror} ({error.filename});"
                f" give the user {os.geteuid()} the right to, or use another folder"
            )
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            return StoreError(_not_a_folder(error.filename or self.root))
        return StoreError(f"the store at {self.root} failed: {error}")


def blob_name(digest: str) -> str:
    """Give the path of a blob in its store. Raises StoreError for what is no digest."""
    algorithm, _, name = digest.partition(":")
    if algorithm != "sha256" or len(name) != 64 or not _HEX.issuperset(name):
        raise StoreError(f"{digest[:100]!r} is not a digest; one reads sha256:<64 hex digits>")
    return f"blobs/sha256/{name[:2]}/{name}"


def _not_a_folder(path: str) -> str:
    return f"{path} is not a folder, so the store cannot be there; move it or use another folder"


def _quote_path(path: str) -> str:
    return "/".join(quote_name(part) if part else "" for part in path.split("/"))


def _open_file(path: str) -> BinaryIO:
    """Open a regular file to read. Raises FileNotFoundError for anything else at this path.

    A symbolic link is not followed, since it may lead out of the store, and a pipe not waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise FileNotFoundError(errno.ENOENT, "no such file", path) from error
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    return open(descriptor, "rb")


def _is_file(path: str) -> bool:
    """Whether a regular file is there, and not a link to one."""
    try:
        return S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _write_file(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


def _create_without_links(path: str, data: bytes) -> bool:
    """Write a new file where hard links do not exist: exclusive, but not seen as one step."""
    try:
        _write_file(path, data)
    except FileExistsError:
        return False
    except OSError:
        _unlink(path)
        raise
    return True


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # Swept later.


def _close_quietly(file: FileIO) -> None:
    try:
        file.close()
    except OSError:
        return  # It is thrown away.
