"""A store in a folder.

Nothing is locked: a file is written under ``tmp/`` and then renamed or linked to its name, so that
a reader sees all of it or nothing, and a process that dies leaves only a file in ``tmp/``. Nothing
is flushed to the disk by force either: a blob is verified against its digest when it is read.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from stat import S_ISDIR, S_ISREG

from levada.store import (
    CHUNK,
    MAX_DOCUMENT,
    SCHEMA,
    MissingBlob,
    Store,
    StoreError,
    blob_name,
    digest_of,
    local_error,
    quote_name,
    unlink,
    write_all,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from typing import BinaryIO

_TEMPORARY = "tmp"
#: What only a store in a folder has.
_OWN_FILES = (".gitignore", ".swap.lock")
#: Nanoseconds within which two changes of a folder may have one time: FAT's clock is the coarsest.
_CLOCK_STEP = 2_500_000_000
_STALE = 86_400.0  # seconds after which a temporary file has no writer any more
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


class DirectoryStore(Store):
    """A store in a local folder, or in one that is mounted."""

    __slots__ = ("_prepared", "root", "url")

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.url = "file://" + _quote_path(self.root)
        self._prepared = 0
        self._check()

    def local_folders(self) -> list[str]:
        """List the folders of this machine in which it has files; a step does not read them."""
        return [self.root]

    def _check(self) -> None:
        try:
            with _open_file(f"{self.root}/store.json") as file:
                found = file.read(65_536)
        except FileNotFoundError as error:
            above_is_no_folder = isinstance(error.__cause__, NotADirectoryError)
            if above_is_no_folder or (os.path.lexists(self.root) and not os.path.isdir(self.root)):
                raise StoreError(_not_a_folder(self.root)) from None
            # One look: another process may have made the store since the file was not found.
            if _is_other_than(S_ISREG, f"{self.root}/store.json"):
                raise StoreError(
                    f"{self.root}/store.json is not a file that can be read, so {self.root} is not"
                    " a store; remove it or use another folder"
                ) from None
            return
        except OSError as error:
            raise self.local_error(error) from error
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
            self._make_temporary_folder()
            self._write_new(".gitignore", b"*\n")
            self._write_new("store.json", f'{{"schema":"{SCHEMA}"}}\n'.encode())
        except OSError as error:
            raise self.local_error(error) from error
        self._prepared = os.getpid()
        self.sweep()

    def _make_temporary_folder(self) -> None:
        os.makedirs(self.root, exist_ok=True)
        place = f"{self.root}/{_TEMPORARY}"
        if not _is_other_than(S_ISDIR, place):
            os.makedirs(place, exist_ok=True)
            return
        aside = f"{self.root}/.{os.urandom(8).hex()}"
        os.rename(place, aside)
        os.makedirs(place, exist_ok=True)
        self._move_away(aside, place)

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
                        unlink(entry.path)
        except OSError:
            return  # Another process sweeps too, or may and we may not.

    def _temporary_path(self) -> str:
        return f"{self.root}/{_TEMPORARY}/{os.getpid()}-{os.urandom(8).hex()}"

    def new_temporary(self) -> tuple[FileIO, str]:
        """Make a file in ``tmp/`` for a blob to be; gives it, open and unbuffered, and its path."""
        self.prepare()
        path = self._temporary_path()
        try:
            return open(path, "xb", buffering=0), path
        except OSError as error:
            raise self.local_error(error) from error

    def publish(self, digest: str, temporary: str) -> None:
        """Give a complete temporary file its name. It replaces a blob of that name: they are
        equal, unless the one that is there is damaged.
        """  # noqa: D205
        path = f"{self.root}/{blob_name(digest)}"
        try:
            self._clear_way(path)
            os.chmod(temporary, 0o444)
            try:
                os.replace(temporary, path)
            except FileNotFoundError:
                os.makedirs(path.rpartition("/")[0], exist_ok=True)
                os.replace(temporary, path)
            except IsADirectoryError:
                self._move_away(path, path)
                os.replace(temporary, path)
        except OSError as error:
            raise self.local_error(error) from error

    def publish_small(self, digest: str, data: bytes) -> None:
        """Store a blob that is in memory, unless it is there already and undamaged."""
        try:
            path = f"{self.root}/{blob_name(digest)}"
            with _open_file(path) as file:
                if file.read(len(data) + 1) == data:
                    os.utime(path, follow_symlinks=False)  # `levada gc` sees that it is needed
                    return
        except OSError:
            pass
        file, temporary = self.new_temporary()
        try:
            with file:
                write_all(file, data)
            self.publish(digest, temporary)
        except OSError as error:
            raise self.local_error(error) from error
        finally:
            unlink(temporary)

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
            raise self.local_error(error) from error

    def blob_path(self, digest: str) -> str | None:
        """Give the blob's path. It must not be written to; None if the blob is not there."""
        path = f"{self.root}/{blob_name(digest)}"
        return path if _is_file(path) else None

    def write_once(self, path: str, data: bytes) -> bool:
        """Write a document unless it exists; atomic, also among processes and hosts."""
        target = self._document(path)
        self.prepare()
        try:
            self._clear_way(target)
            os.makedirs(target.rpartition("/")[0], exist_ok=True)
            try:
                return self._link_new(data, target)
            except FileNotFoundError:  # `prune` has removed the folder since
                os.makedirs(target.rpartition("/")[0], exist_ok=True)
                return self._link_new(data, target)
        except OSError as error:
            raise self.local_error(error) from error

    def _link_new(self, data: bytes, target: str) -> bool:
        temporary = self._temporary_path()
        try:
            _write_file(temporary, data)
            if _is_other_than(S_ISREG, target):
                self._move_away(target, target)
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _create_without_links(target, data)
        finally:
            unlink(temporary)
        return True

    def clear_way(self, path: str) -> None:
        """Move away what is in the place of a folder on the way to a document, if anything is."""
        try:
            self._clear_way(self._document(path))
        except OSError as error:
            raise self.local_error(error) from error

    def _clear_way(self, path: str) -> None:
        """Make sure that each folder on the way to a file of the store is one, or is to be made.

        A link is no folder of the store: what is written below it would be elsewhere.
        """
        place = self.root
        for part in path[len(self.root) + 1 :].split("/")[:-1]:
            place += f"/{part}"
            if _is_other_than(S_ISDIR, place):
                self.prepare()
                self._move_away(place, place)
                return

    def _move_away(self, path: str, name: str) -> None:
        """Make room for what Levada writes: what is there is swept with ``tmp/``, in a day.

        ``name`` is the path at which it was found. No folder on the way to it is a link.
        """
        target = self._temporary_path()
        with suppress(FileNotFoundError):  # Another process may move it too.
            os.rename(path, target)
            self.warn(
                f"{name} is not what Levada wrote there; it was moved to {target},"
                " and will be removed in a day"
            )
            os.utime(target, follow_symlinks=False)  # the day begins now

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
            raise self.local_error(error) from error
        raise FileNotFoundError(errno.ENOENT, "too large for a document", path)

    def list(self, path: str) -> list[str]:
        """List the names in a folder, sorted; empty if there is none."""
        try:
            return sorted(os.listdir(self._document(path) if path else self.root))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self.local_error(error) from error

    def folder_tag(self, path: str) -> str | None:
        """Return the time at which a name in a folder was last added or removed.

        None for a time that has just been: what comes next may get the same one.
        """
        from time import time_ns

        try:
            changed = os.stat(self._document(path)).st_mtime_ns
        except OSError:
            return None
        return str(changed) if 0 <= changed <= time_ns() - _CLOCK_STEP else None

    def walk(self, path: str = "") -> Iterator[tuple[str, int]]:
        """Yield the path and the size in bytes of all that is below a folder, in any order.

        What no store has is left out: links, and what is being written.
        """
        for inside, size, _ in self.walk_times(path):
            yield inside, size

    def walk_times(self, path: str = "") -> Iterator[tuple[str, int, int]]:
        """Yield what `walk` does, each with the time at which it was written, in nanoseconds."""
        pending = [self._document(path) if path else self.root]
        if path and os.path.islink(pending[0]):
            return  # What it leads to is no folder of the store.
        while pending:
            try:
                with os.scandir(pending.pop()) as entries:
                    for entry in entries:
                        inside = entry.path[len(self.root) + 1 :]
                        if entry.is_dir(follow_symlinks=False) and inside != _TEMPORARY:
                            pending.append(entry.path)
                        elif entry.is_file(follow_symlinks=False) and inside not in _OWN_FILES:
                            state = entry.stat(follow_symlinks=False)
                            yield inside, state.st_size, state.st_mtime_ns
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self.local_error(error) from error

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """Read a document with a tag of what it is now, for `compare_and_swap`."""
        data = self.read(path)
        return data, digest_of(data)

    def compare_and_swap(self, path: str, tag: str, data: bytes) -> bool:
        """Replace a document if it is still what `read_tagged` gave; False if it is not."""
        import fcntl

        target = self._document(path)
        self.prepare()
        lock_path = f"{self.root}/{_OWN_FILES[1]}"
        try:
            if _is_other_than(S_ISREG, lock_path):
                self._move_away(lock_path, lock_path)
            with open(lock_path, "ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
                if digest_of(self.read(path)) != tag:
                    return False
                self._replace(target, data)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self.local_error(error) from error
        return True

    def _replace(self, target: str, data: bytes) -> None:
        temporary = self._temporary_path()
        try:
            _write_file(temporary, data)
            self._clear_way(target)
            os.replace(temporary, target)
        finally:
            unlink(temporary)

    def delete(self, path: str) -> None:
        """Remove a document, log or blob; nothing happens where there is none."""
        target = self._document(path)
        try:
            if os.path.lexists(target):
                self._clear_way(target)
                os.unlink(target)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.local_error(error) from error

    def remove_unchanged(self, path: str, written: int) -> bool:
        """Remove a file if it was written at that time; else False.

        It is renamed before it is looked at for the last time: who finds a blob there, and does
        not write it again for that reason, changes its time, or finds that it is gone and writes
        it. One whose time was changed comes back; if this process is killed in between, it stays
        in ``tmp/`` for a day.
        """
        target, aside = self._document(path), self._temporary_path()
        try:
            if os.lstat(target).st_mtime_ns != written:
                return False
            self.prepare()
            os.rename(target, aside)
            if os.lstat(aside).st_mtime_ns == written:
                os.unlink(aside)
                return True
            with suppress(FileExistsError):
                os.link(aside, target)
            os.unlink(aside)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self.local_error(error) from error
        return False

    def prune(self, path: str) -> None:
        """Remove the folders below ``path``, itself too, in which nothing is."""
        for folder, _, _ in os.walk(self._document(path), topdown=False):
            with suppress(OSError):  # there is something in it
                os.rmdir(folder)

    def clock_skew(self, path: str) -> float:
        """Write a document there; give by how many seconds the store's clock is ahead of ours."""
        from time import time

        before = time()
        self.write_once(path, b"")
        return os.stat(self._document(path)).st_mtime - (before + time()) / 2

    def local_path(self, path: str) -> str:
        """Give the path of a file to append to, its folder made."""
        target = self._document(path)
        self.prepare()
        try:
            self._clear_way(target)
            os.makedirs(target.rpartition("/")[0], exist_ok=True)
            if path.endswith("/log") and _is_other_than(S_ISREG, target):
                self._move_away(target, target)
        except OSError as error:
            raise self.local_error(error) from error
        return target

    def write_file(self, path: str, local: str) -> None:
        """Store a file of this machine, of any size, as a log; it replaces what is there."""
        target = self.local_path(path)
        file, temporary = self.new_temporary()
        try:
            with open(local, "rb") as source, file:
                while chunk := source.read(CHUNK):
                    write_all(file, chunk)
            os.replace(temporary, target)
        except OSError as error:
            raise self.local_error(error) from error
        finally:
            unlink(temporary)

    def open_at(self, path: str, offset: int) -> BinaryIO:
        """Open a log to read from a position in bytes. Raises FileNotFoundError."""
        file = _open_file(self._document(path))
        file.seek(offset)
        return file

    def _document(self, path: str) -> str:
        parts = path.strip("/").split("/")
        if "\0" in path or any(part in ("", ".", "..") for part in parts):
            raise StoreError(f"{path!r} is not a path in a store")
        return f"{self.root}/{'/'.join(parts)}"

    def local_error(self, error: OSError) -> StoreError:
        """Say in words why the folder cannot be used."""
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            return StoreError(_not_a_folder(error.filename or self.root))
        return local_error(error, f"the store at {self.root}")


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


def _is_other_than(kind: Callable[[int], bool], path: str) -> bool:
    """Whether something is there, and of another kind: `S_ISDIR` or `S_ISREG`.

    It is one look: what another process makes between two would be taken for what is in the way.
    """
    try:
        return not kind(os.lstat(path).st_mode)
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
        unlink(path)
        raise
    return True
