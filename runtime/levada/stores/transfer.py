"""Copies all of a store to another one."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from levada.log_upload import FILES
from levada.store import CHUNK, DamagedBlob, StoreError, blob_name, unlink, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from levada.store import Store

#: Objects that are copied at a time, and those that may wait for it.
_AT_ONCE, _WAITING = 8, 64
_BLOBS = "blobs/sha256/"


def copy(source: Store, target: Store, on_copied: Callable[[str, int, bool], None]) -> list[str]:
    """Copy what ``target`` does not have; gives what could not be copied, each in a sentence.

    Blobs come first, so that no document there is of values that are not there yet, and are
    verified on the way. ``on_copied`` is told, from several threads, the path and the size in bytes
    of each object, and whether it was copied now. Raises StoreError if a store cannot be used.
    """
    target.prepare()
    there = dict(target.walk())
    faults: list[str] = []

    def one(path: str, size: int) -> None:
        is_there = there.get(path) == size
        try:
            was_copied = _copy_one(source, target, path, is_there=is_there)
        except _NotCopiedError as fault:
            faults.append(str(fault))
        else:
            on_copied(path, size, was_copied)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for part in _in_order(source):
            pending: set[Future[None]] = set()
            for path, size in part:
                pending.add(pool.submit(one, path, size))
                if len(pending) >= _WAITING:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    _raise_first(done)
            _raise_first(wait(pending).done)
    return sorted(faults)


def _in_order(source: Store) -> Iterator[Iterator[tuple[str, int]]]:
    yield source.walk(_BLOBS.rstrip("/"))
    yield (
        each for each in source.walk() if not each[0].startswith(_BLOBS) and each[0] != "store.json"
    )


def _raise_first(done: set[Future[None]]) -> None:
    for each in done:
        each.result()


class _NotCopiedError(Exception):
    """An object cannot be copied. The message says which, and why."""


def _copy_one(source: Store, target: Store, path: str, *, is_there: bool) -> bool:
    """Copy an object unless one of its size is there; gives whether it was.

    Raises _NotCopiedError.
    """
    name = path.rpartition("/")[2]
    if path.startswith(_BLOBS) and not _is_blob(path, name):
        raise _NotCopiedError(f"{path} is no blob; it is not copied")
    if is_there and (path.startswith(_BLOBS) or name in FILES):
        return False
    try:
        if path.startswith(_BLOBS):
            _copy_blob(source, target, f"sha256:{name}")
        elif name in FILES:
            _copy_log(source, target, path)
        else:
            return _copy_document(source, target, path)
    except FileNotFoundError:
        raise _NotCopiedError(f"{path} cannot be read as a document; it is not copied") from None
    return True


def _is_blob(path: str, name: str) -> bool:
    try:
        return blob_name(f"sha256:{name}") == path
    except StoreError:
        return False


def _copy_document(source: Store, target: Store, path: str) -> bool:
    data = source.read(path)
    if target.write_once(path, data):
        return True
    if target.read(path) != data:
        raise _NotCopiedError(f"{path} is another document in {target.url}; that one stays")
    return False


def _copy_blob(source: Store, target: Store, digest: str) -> None:
    try:
        # Not by `open_blob`: what is kept on this machine says nothing of the store.
        path = blob_name(digest)
        with source.open_at(path, 0) as blob, target.blob_writer(digest) as writer:
            while chunk := blob.read(CHUNK):
                writer.write(chunk)
    except DamagedBlob:
        raise _NotCopiedError(f"{digest} is damaged in {source.url}; it is not copied") from None
    except FileNotFoundError:
        raise _NotCopiedError(f"{digest} is gone from {source.url}; it is not copied") from None


def _copy_log(source: Store, target: Store, path: str) -> None:
    file, local = target.new_temporary()
    try:
        with source.open_at(path, 0) as log, file:
            while chunk := log.read(CHUNK):
                write_all(file, chunk)
        target.write_file(path, local)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise target.local_error(error) from error
    finally:
        unlink(local)
