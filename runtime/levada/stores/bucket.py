"""A store in a bucket: S3 and what speaks its protocol, Google Cloud Storage, Azure, or memory.

Documents are created with a condition (``If-None-Match: *`` and its like), so that of several
writers one succeeds. Blobs need none: they are named by what is in them.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from io import BufferedReader, BytesIO, RawIOBase

from levada.hashing import sha256
from levada.store import (
    CHUNK,
    MAX_DOCUMENT,
    SCHEMA,
    DamagedBlob,
    MissingBlob,
    Store,
    StoreError,
    blob_name,
    digest_of,
    unlink,
    write_all,
)

from .blob_cache import FOLDER, BlobCache
from .bucket_clients import claim, client
from .bucket_errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from typing import Any, BinaryIO, TypeVar

    from obstore import GetResult, ObjectMeta
    from obstore.store import ObjectStore

    from levada.store import Names

    Read = TypeVar("Read")

#: Bytes up to which an object is one request; larger ones are in parts of this size, or larger:
#: S3 takes 10,000. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
_PART, _MOST_PARTS = 8 << 20, 10_000
#: Parts that are on their way at once: with them an upload holds 32 MiB.
_AT_ONCE = 4
#: Documents that are read at once, and how many are read before the first of them is used.
_READS_AT_ONCE, _READS_AHEAD = 32, 1024
#: Seconds before a request that creates or swaps a document is sent again.
_PAUSES = (0.1, 0.3, 1.0, 3.0, 6.0, 12.0)


class BucketStore(Store):
    """A store below a prefix of a bucket. Opening it makes no request.

    Once used, it must not be used in a process that is forked: its client would wait for good for
    threads that are not there. It raises StoreError there.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.removesuffix("/")
        parts = prefix.split("/") if prefix else []
        if "?" in rest or "#" in rest or "@" in bucket:
            raise StoreError(  # without the URL, which may have a key in it
                f"the {scheme}:// URL of the store has more than a bucket and a prefix; credentials"
                " and options are given by the cloud's environment variables"
            )
        if not bucket or any(part in ("", ".", "..") for part in parts):
            raise StoreError(f"{url} names no place in a bucket; write {scheme}://bucket/prefix")
        self.url = f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
        self._place = (scheme, bucket, prefix)
        #: made once: a step may set variables of the cloud for data of its own
        self._clients: dict[bool, ObjectStore] = {}
        self._prepared = False
        self._cache_here: BlobCache | None = None

    # ---------------------------------------------------------------- requests

    def preload(self) -> None:
        """Make the clients, for the processes that are forked from this one; makes no request."""
        for retries in (False, True):
            self._made(retries=retries)

    def _client(self, *, retries: bool = False) -> ObjectStore:
        claim(self.url)
        return self._made(retries=retries)

    def _made(self, *, retries: bool) -> ObjectStore:
        if retries not in self._clients:
            self._clients[retries] = client(*self._place, retries=retries)
        return self._clients[retries]

    def _asked(
        self, tried: str, request: Callable[[ObjectStore], Any], *, retries: bool = False
    ) -> Any:
        """Give what a request gives; raises FileNotFoundError where there is no such object.

        It is sent again where that may help, by the client itself with ``retries``: a transfer
        that consists of several requests goes on then where it was.
        """
        from obstore.exceptions import BaseError

        made = self._client(retries=retries)
        for pause in (*(() if retries else _PAUSES), None):
            try:
                return request(made)
            except (BaseError, OSError) as error:
                failure = Failure(error)
                if failure.is_missing or (
                    not failure.status and isinstance(error, FileNotFoundError)
                ):
                    raise FileNotFoundError(2, "no such object", tried) from error
                if pause is None or not failure.is_passing:
                    raise failure.in_words(self.url, tried) from None
                time.sleep(pause)
        return None

    def _put_if(self, path: str, data: bytes, mode: Any) -> bool:
        """Write a document on a condition; False if that does not hold.

        A request whose outcome is unknown is sent again. If then the condition does not hold,
        what is there says whether it was this request that wrote it.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        made = self._client()
        is_unknown = False
        for pause in (*_PAUSES, None):
            try:
                obstore.put(made, path, data, mode=mode, use_multipart=False)
            except (BaseError, OSError) as error:
                failure = Failure(error)
                refused = isinstance(error, AlreadyExistsError | PreconditionError)
                refused = refused or (failure.is_missing and mode != "create")
                if refused and not failure.is_conflict:
                    return is_unknown and self._has(path, data)
                if pause is None or not (failure.is_passing or failure.is_conflict):
                    raise failure.in_words(self.url, f"write {path}") from None
                is_unknown = is_unknown or not failure.is_conflict
                time.sleep(pause)
            else:
                return True
        return False

    def _has(self, path: str, data: bytes) -> bool:
        try:
            return self.read(path) == data
        except FileNotFoundError:
            return False

    def _get(self, path: str, tried: str, **options: Any) -> GetResult:
        """Begin to read what may be large, by a client that goes on where an answer broke off."""
        import obstore

        found: GetResult = self._asked(
            tried, lambda made: obstore.get(made, path, **options), retries=True
        )
        return found

    # ---------------------------------------------------------------- the store itself

    def prepare(self) -> None:
        """Write ``store.json`` if it is not there; then try whether the service keeps conditions.

        Raises StoreError if it does not: of two writers of one document, both would succeed.
        """
        if self._prepared:
            return
        text = f'{{"schema":"{SCHEMA}"}}\n'.encode()
        try:
            found = self.read("store.json")
        except FileNotFoundError:
            if self._put_if("store.json", text, "create") and self._put_if(
                "store.json", text, "create"
            ):
                self.delete("store.json")
                raise StoreError(
                    f"the service of {self.url} ignores conditions (If-None-Match: *): it has"
                    " written one document twice, so that runs could lose what they write; use"
                    " another service, or a newer version of it"
                ) from None
            found = self.read("store.json")
        if f'"{SCHEMA}"'.encode() not in found:
            raise StoreError(
                f"the store {self.url} was made by another version of Levada (its store.json does"
                f" not say {SCHEMA}); use that version or another prefix"
            )
        self._prepared = True

    # ---------------------------------------------------------------- blobs

    @property
    def _cache(self) -> BlobCache:
        if self._cache_here is None:
            try:
                self._cache_here = BlobCache()
            except StoreError as error:
                raise StoreError(
                    f"blobs cannot be kept on this machine: {error}; set {FOLDER} to a folder"
                    " that can be written"
                ) from None
        return self._cache_here

    def local_folders(self) -> Names:
        """Return the folder of the blobs that are kept here."""
        return self._cache.local_folders()

    def new_temporary(self) -> tuple[FileIO, str]:
        """Make a file beside the blobs that are kept here; gives it, and its path."""
        return self._cache.new_temporary()

    def local_error(self, error: OSError) -> StoreError:
        """Say in words why a file of `new_temporary` cannot be made or written."""
        return self._cache.local_error(error)

    def publish(self, digest: str, temporary: str) -> None:
        """Upload a file as the blob, and keep it here."""
        self._upload(blob_name(digest), temporary)
        with suppress(StoreError):  # the disk is full, but the blob is in the store
            self._cache.add(digest, temporary)

    def publish_small(self, digest: str, data: bytes) -> None:
        """Upload a blob that is in memory, and keep it here."""
        import obstore

        name = blob_name(digest)
        self._write(name, lambda made: obstore.put(made, name, data, use_multipart=False))
        self._keep_small(digest, data)

    def _keep_small(self, digest: str, data: bytes) -> None:
        with suppress(StoreError):  # the disk is full, and what is not kept is asked for again
            self._cache.add_small(digest, data)

    def _upload(self, name: str, local: str) -> None:
        """Upload a file. Some services forget an upload whose last answer was lost: once more."""
        import obstore

        def put(made: ObjectStore) -> None:
            with open(local, "rb") as file:
                part = max(_PART, -(-os.path.getsize(local) // _MOST_PARTS))
                obstore.put(made, name, file, chunk_size=part, max_concurrency=_AT_ONCE)

        try:
            self._write(name, put, retries=True)
        except StoreError:
            self._write(name, put, retries=True)

    def _write(
        self, name: str, request: Callable[[ObjectStore], Any], *, retries: bool = False
    ) -> None:
        """Send a request that writes an object: "not found" is an error of its own then."""
        tried = f"write {name}"
        try:
            self._asked(tried, request, retries=retries)
        except FileNotFoundError as error:
            raise Failure(error.__cause__ or error).in_words(self.url, tried) from None

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob to read, from now on kept here. Raises MissingBlob."""
        name = blob_name(digest)
        kept = self._cache.find(digest)
        if kept is not None:
            return kept
        try:
            data, _ = self._small(name, CHUNK)
            if data is None:
                return self._downloaded(digest)
        except FileNotFoundError:
            raise MissingBlob(
                f"{digest} is not in the store {self.url}; run the step that made it again"
            ) from None
        if digest_of(data) == digest:
            self._keep_small(digest, data)
        return BytesIO(data)

    def _downloaded(self, digest: str) -> BinaryIO:
        """Keep a large blob here while its digest is computed; open it. Raises DamagedBlob."""
        found = self._get(blob_name(digest), f"read {blob_name(digest)}")
        file, temporary = self._cache.new_temporary()
        hasher = sha256(b"", found.meta["size"])
        try:
            with file:
                for part in self._parts(found, f"read {blob_name(digest)}"):
                    hasher.update(part)
                    write_all(file, part)
            if f"sha256:{hasher.hexdigest()}" != digest:
                raise DamagedBlob(digest, self.url)
            opened = open(temporary, "rb")  # noqa: SIM115  the caller closes it
            with suppress(StoreError):  # it has been read all the same
                self._cache.add(digest, temporary)
        except OSError as error:
            raise self.local_error(error) from error
        finally:
            unlink(temporary)
        return opened

    def _small(self, path: str, largest: int) -> tuple[bytes | None, ObjectMeta]:
        """Give what is there and what is known of it; None for its bytes if they are too many.

        Raises FileNotFoundError.
        """
        import obstore

        def ask(made: ObjectStore) -> tuple[bytes | None, ObjectMeta]:
            found = obstore.get(made, path)
            is_small = found.meta["size"] <= largest
            return found.bytes().to_bytes() if is_small else None, found.meta

        given: tuple[bytes | None, ObjectMeta] = self._asked(f"read {path}", ask)
        return given

    def _parts(self, found: GetResult, tried: str) -> Iterator[memoryview]:
        parts = iter(found.stream(min_chunk_size=CHUNK))
        while (part := self._asked(tried, lambda _: next(parts, None), retries=True)) is not None:
            yield memoryview(part)

    def blob_path(self, digest: str) -> str | None:
        """Give the path of the blob that is kept here; None if the store has none."""
        try:
            self.open_blob(digest).close()
        except MissingBlob:
            return None
        return self._cache.blob_path(digest)

    def read_blob(self, digest: str) -> bytes:
        """Read a blob whole and verified. Raises MissingBlob or DamagedBlob."""
        return self._twice(super().read_blob, digest)

    def check_blob(self, digest: str) -> int:
        """Make sure that what is read of a blob is what its name says; gives its size in bytes.

        Raises MissingBlob or DamagedBlob.
        """
        return self._twice(super().check_blob, digest)

    def _twice(self, read: Callable[[str], Read], digest: str) -> Read:
        """Read a blob; from the bucket if what is kept here is damaged."""
        try:
            return read(digest)
        except DamagedBlob:
            if not self._cache.remove(digest):
                raise
            return read(digest)

    def verify_blob(self, digest: str) -> bool:
        """Whether a blob is in the bucket, where others find it, and is what its name says."""
        import obstore

        name = blob_name(digest)
        try:
            size = self._asked(f"read {name}", lambda made: obstore.head(made, name))["size"]
            return bool(size == self.check_blob(digest))
        except (StoreError, OSError):
            return False

    # ---------------------------------------------------------------- documents

    def write_once(self, path: str, data: bytes) -> bool:
        """Write a document unless it exists; atomic, also among processes and machines."""
        return self._put_if(_checked(path), data, "create")

    def read(self, path: str) -> bytes:
        """Read a document. Raises FileNotFoundError, also for one of over MAX_DOCUMENT bytes."""
        return self._document(path)[0]

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """Read a document with a tag of what it is now, for `compare_and_swap`."""
        data, found = self._document(path)
        version = {"e_tag": found["e_tag"], "version": found["version"]}
        return data, json.dumps({name: each for name, each in version.items() if each})

    def _document(self, path: str) -> tuple[bytes, ObjectMeta]:
        data, found = self._small(_checked(path), MAX_DOCUMENT)
        if data is None:
            raise FileNotFoundError(2, "too large for a document", path)
        return data, found

    def compare_and_swap(self, path: str, tag: str, data: bytes) -> bool:
        """Replace a document if it is still what `read_tagged` gave; False if it is not."""
        return self._put_if(_checked(path), data, json.loads(tag))

    def delete(self, path: str) -> None:
        """Remove a document, log or blob; nothing happens where there is none."""
        import obstore

        name = _checked(path)
        try:
            self._asked(f"remove {name}", lambda made: obstore.delete(made, name))
        except FileNotFoundError:
            return

    def delete_all(self, paths: Names) -> None:
        """Remove several documents, logs or blobs; nothing happens where there is none."""
        import obstore

        names = [_checked(path) for path in paths]
        if not names:
            return
        try:
            self._asked(f"remove {names[0]}", lambda made: obstore.delete(made, names))
        except FileNotFoundError:  # Some services say so of one, and leave the rest.
            super().delete_all(names)

    def list(self, path: str) -> list[str]:
        """List the names in a folder, sorted; empty if there is none."""
        import obstore

        prefix = _checked(path) if path else None
        tried = f"list {path or 'its folders'}"
        try:
            listed = self._asked(tried, lambda made: obstore.list_with_delimiter(made, prefix))
        except FileNotFoundError as error:  # An answer of no such bucket without a code.
            raise Failure(error.__cause__ or error).in_words(self.url, tried) from None
        found = [*listed["common_prefixes"], *(each["path"] for each in listed["objects"])]
        return sorted({name for each in found if (name := _last(each, path))})

    def list_after(self, path: str, name: str) -> Names:
        """List the names in a folder that come after ``name``, sorted by code points.

        The service skips what comes before. Below a folder that has folders, all is listed.
        """
        import obstore

        prefix = _checked(path)

        def listed(made: ObjectStore) -> Iterator[Any]:
            return iter(obstore.list(made, prefix, offset=f"{prefix}/{name}", chunk_size=1000))

        tried = f"list {path}"
        pages = self._asked(tried, listed, retries=True)
        found = set()
        while (page := self._asked(tried, lambda _: next(pages, None), retries=True)) is not None:
            found |= {_last(each["path"], path).partition("/")[0] for each in page}
        return sorted(each for each in found if each > name)

    def read_each(self, paths: Names) -> Iterator[bytes | None]:
        """Yield the documents of these paths, in their order; None for one that is not there."""
        from concurrent.futures import ThreadPoolExecutor

        def read(path: str) -> bytes | None:
            try:
                return self.read(path)
            except FileNotFoundError:
                return None

        if len(paths) < 2:
            yield from map(read, paths)
            return
        self._client()  # made once, before the threads
        with ThreadPoolExecutor(min(_READS_AT_ONCE, len(paths))) as threads:
            # Not all at once: what has been read waits in memory.
            for first in range(0, len(paths), _READS_AHEAD):
                yield from threads.map(read, paths[first : first + _READS_AHEAD])

    def walk(self, path: str = "") -> Iterator[tuple[str, int]]:
        """Yield the path and the size in bytes of all that is below a folder, in any order."""
        for inside, size, _ in self.walk_times(path):
            yield inside, size

    def walk_times(self, path: str = "") -> Iterator[tuple[str, int, int]]:
        """Yield what `walk` does, each with the time at which it was written, in nanoseconds."""
        import obstore

        prefix, tried = _checked(path) if path else None, f"list {path or 'all of it'}"
        pages = self._asked(tried, lambda made: iter(obstore.list(made, prefix)), retries=True)
        while (page := self._asked(tried, lambda _: next(pages, None), retries=True)) is not None:
            for each in page:
                if each["path"]:  # not the folder that a console has made of the prefix
                    yield each["path"], each["size"], _nanoseconds(each)

    def remove_unchanged(self, path: str, written: int) -> bool:
        """Remove an object if it was written at that time; else False.

        Between the look and the removal is the time of one request.
        """
        import obstore

        name = _checked(path)
        try:
            found = self._asked(f"read {name}", lambda made: obstore.head(made, name))
        except FileNotFoundError:
            return False
        if _nanoseconds(found) != written:
            return False
        self.delete(path)
        return True

    def clock_skew(self, path: str) -> float:
        """Write a document there; give by how many seconds the store's clock is ahead of ours.

        A service tells whole seconds.
        """
        import obstore

        before = time.time()
        self.write_once(path, b"")
        found = self._asked(f"read {path}", lambda made: obstore.head(made, _checked(path)))
        skew: float = found["last_modified"].timestamp() - (before + time.time()) / 2
        return 0.0 if abs(skew) < 1 else skew

    # ---------------------------------------------------------------- logs

    def local_path(self, path: str) -> None:
        """Give nothing: no place in a bucket is on this machine."""
        _checked(path)

    def write_file(self, path: str, local: str) -> None:
        """Upload a file, of any size; it replaces what is there."""
        self._upload(_checked(path), local)

    def open_at(self, path: str, offset: int) -> BinaryIO:
        """Open a log to read from a position in bytes. Raises FileNotFoundError."""
        import obstore

        name, tried = _checked(path), f"read {path}"
        size = self._asked(tried, lambda made: obstore.head(made, name))["size"]
        if offset >= size:
            return BytesIO()
        found = self._get(name, tried, options={"range": {"offset": offset}})
        return BufferedReader(_Stream(self._parts(found, tried)), CHUNK)


class _Stream(RawIOBase):
    """A file to read of the parts of an answer; one part is in memory at a time."""

    def __init__(self, parts: Iterator[memoryview]) -> None:
        self._parts = parts
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Say that this is a file to read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as a part goes; 0 at the end."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = part
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _nanoseconds(found: ObjectMeta) -> int:
    return round(found["last_modified"].timestamp() * 1000) * 1_000_000


def _checked(path: str) -> str:
    """Give a path as the bucket has it. Raises StoreError for what leads out of the store."""
    parts = path.strip("/").split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise StoreError(f"{path!r} is not a path in a store")
    return "/".join(parts)


def _last(found: str, path: str) -> str:
    """Give the name in the folder ``path`` of something that was found below it."""
    return found.strip("/")[len(path.strip("/")) :].strip("/") if path else found.strip("/")
