"""Layers that are the same bytes wherever they are made, and the cache that keeps them.

A layer is a gzip file of several members. A file that stands deflated in a wheel goes into a
member of its own as it stands there: nothing is compressed anew, which is fast, and no version of
zlib has a say in the result. What is small or made here is stored. Readers of gzip take several
members as one stream (RFC 1952, 2.2); lazy-pulling image formats rely on it, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import tarfile
import tempfile
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from levada_compiler.slotted import dataclass

from . import places
from .image import ImageError
from .oci import LAYER_GZIP, Descriptor, blob_path, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, unknown system
_LONGEST_STORED = 0xFFFF  # bytes in a stored block of deflate
_CHUNK = 1 << 20
_BLOCK = 512  # what tar fills up to


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """A finished layer on disk. ``diff_id`` is the digest of its tar file, uncompressed."""

    title: str
    descriptor: Descriptor
    diff_id: str
    path: Path


class LayerWriter:
    """Writes a layer's files, in the order that they are added; folders above them are made."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packed = hashlib.sha256()
        self._tar = hashlib.sha256()
        self._plain = bytearray()
        self._folders: set[str] = set()
        self.size = 0

    def add(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file. ``path`` is POSIX, from the root of the image, without a leading slash."""
        self._head(path, tarfile.REGTYPE, mode, len(data))
        self._store(data + _padding(len(data)))

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._head(path, tarfile.SYMTYPE, 0o777, 0, target)

    def add_folder(self, path: str, mode: int = 0o755) -> None:
        """Add a folder, and those above it."""
        self._make_parents(path)
        if path and path not in self._folders:
            self._folders.add(path)
            self._store(_tar_header(path + "/", tarfile.DIRTYPE, mode, 0))

    def add_deflated(
        self, path: str, packed: Iterator[bytes], size: int, crc: int, mode: int = 0o644
    ) -> None:
        """Add a file whose bytes are there deflated (RFC 1951), in pieces.

        Raises ImageError if they do not give ``size`` bytes with the CRC-32 ``crc``.
        """
        self._head(path, tarfile.REGTYPE, mode, size)
        self._flush()
        self._write(_HEADER)
        found = count = 0
        for data in self._inflated(path, packed):
            self._tar.update(data)
            found = zlib.crc32(data, found)
            count += len(data)
        if (found, count) != (crc, size):
            raise ImageError(f"{path} is damaged: its checksum is not what it should be")
        self._write(struct.pack("<II", crc, size & 0xFFFFFFFF))
        self._store(_padding(size))

    def _inflated(self, path: str, packed: Iterator[bytes]) -> Iterator[bytes]:
        """Write what is packed as it is, and give what it holds."""
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for piece in packed:
                self._write(piece)
                yield inflate.decompress(piece)
            yield inflate.flush()
        except zlib.error as error:
            raise ImageError(f"{path} is damaged: {error}") from error
        if not inflate.eof or inflate.unused_data:
            raise ImageError(f"{path} is damaged: its compressed data does not end where it should")

    def finish(self) -> tuple[str, str]:
        """End the layer; give the digests of its file and of the tar within."""
        self._store(bytes(2 * _BLOCK))
        self._flush()
        return f"sha256:{self._packed.hexdigest()}", f"sha256:{self._tar.hexdigest()}"

    def _head(self, path: str, kind: bytes, mode: int, size: int, target: str = "") -> None:
        self._make_parents(path)
        self._store(_tar_header(path, kind, mode, size, target))

    def _make_parents(self, path: str) -> None:
        if (parent := path.rpartition("/")[0]) not in self._folders and parent:
            self.add_folder(parent)

    def _store(self, data: bytes) -> None:
        self._tar.update(data)
        self._plain += data
        if len(self._plain) > _CHUNK:
            self._flush()

    def _flush(self) -> None:
        if not self._plain:
            return
        data = bytes(self._plain)
        self._plain.clear()
        self._write(_HEADER + _stored(data))
        self._write(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._packed.update(data)
        self.size += len(data)


class LayerCache:
    """Finished blobs by digest, and which layer was made of what, below one folder.

    Everything is written beside its place and renamed when it is whole; so whatever has its
    name is complete, after any kind of interruption. Safe for several threads and processes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def layer(
        self, key: str, title: str, write: Callable[[LayerWriter], None]
    ) -> tuple[CachedLayer, bool]:
        """Give the layer of a key, and whether it was there already; else ``write`` makes it.

        ``key`` names all that the bytes depend on. Raises OSError where the disk does.
        """
        with self._lock(key):
            if (known := self.find(key, title)) is not None:
                return known, True
            with self._new_file() as (file, publish):
                writer = LayerWriter(file)
                write(writer)
                digest, diff_id = writer.finish()
                path = publish(digest)
            size = writer.size
            entry = {"digest": digest, "diff_id": diff_id, "size": size}
            self.remember(f"layers/{key}.json", json.dumps(entry, sort_keys=True).encode())
            layer = CachedLayer(title, Descriptor(LAYER_GZIP, digest, size), diff_id, path)
            return layer, False

    def find(self, key: str, title: str) -> CachedLayer | None:
        """Give the layer of a key if it is there, whole."""
        if (data := self.recall(f"layers/{key}.json")) is None:
            return None
        entry = json.loads(data)
        descriptor = Descriptor(LAYER_GZIP, entry["digest"], entry["size"])
        if (path := self.blob(descriptor.digest, descriptor.size)) is None:
            return None
        return CachedLayer(title, descriptor, entry["diff_id"], path)

    def blob(self, digest: str, size: int | None = None) -> Path | None:
        """Give the file of a blob, None if it is not there or not of this size."""
        path = self.folder / blob_path(digest)
        with contextlib.suppress(OSError):
            found = path.stat().st_size
            return path if size is None or found == size else None
        return None

    def add_blob(self, digest: str, pieces: Iterator[bytes], what: str) -> Path:
        """Keep a blob that comes in pieces. Raises ImageError if it is not what ``digest`` says."""
        with self._new_file() as (file, publish):
            found = hashlib.sha256()
            for piece in pieces:
                found.update(piece)
                file.write(piece)
            if f"sha256:{found.hexdigest()}" != digest:
                raise ImageError(
                    f"{what} is damaged: it is sha256:{found.hexdigest()}, not {digest}",
                    "try again; if it stays so, the image is broken where it comes from",
                )
            return publish(digest)

    def read_blob(self, digest: str) -> bytes | None:
        """Give the bytes of a small blob, None if it is not there or not what its name says."""
        path = self.folder / blob_path(digest)
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            return data if digest_of(data) == digest else None
        return None

    def drop_if_damaged(self, digest: str) -> bool:
        """Forget a blob if it is not what its name says; say whether it was so."""
        path = self.folder / blob_path(digest)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest:
                return False
            path.unlink(missing_ok=True)
            return True
        return False

    def remember(self, name: str, data: bytes) -> None:
        """Keep a note at a path below the folder, with its digest."""
        self.put(name, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)

    def put(self, name: str, data: bytes) -> None:
        """Keep a small file at a path below the folder, as it is."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=places.unfinished(self.folder))
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def recall(self, name: str) -> bytes | None:
        """Give what ``remember`` kept, None if it is not there or damaged."""
        try:
            digest, _, data = (self.folder / name).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest().encode() == digest else None

    @contextlib.contextmanager
    def _new_file(self) -> Iterator[tuple[BinaryIO, Callable[[str], Path]]]:
        descriptor, name = tempfile.mkstemp(dir=places.unfinished(self.folder))
        temporary = Path(name)
        with os.fdopen(descriptor, "wb", buffering=_CHUNK) as file:

            def publish(digest: str) -> Path:
                file.flush()
                os.fsync(file.fileno())
                path = self.folder / blob_path(digest)
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
                return path

            try:
                yield file, publish
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def _lock(self, key: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())


def _tar_header(path: str, kind: bytes, mode: int, size: int, target: str = "") -> bytes:
    member = tarfile.TarInfo(path)
    member.type = kind
    member.mode = mode
    member.size = size
    member.linkname = target
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _stored(data: bytes) -> bytes:
    """Give the bytes as deflate's stored blocks (RFC 1951, 3.2.4)."""
    blocks = []
    for start in range(0, len(data), _LONGEST_STORED):
        piece = data[start : start + _LONGEST_STORED]
        is_last = start + _LONGEST_STORED >= len(data)
        blocks.append(struct.pack("<BHH", is_last, len(piece), len(piece) ^ 0xFFFF))
        blocks.append(piece)
    return b"".join(blocks)
