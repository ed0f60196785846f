"""Looks at an Arrow IPC file before a library reads it, so that nothing in it expands.

What Levada stores is never compressed. Then a table takes the memory that its buffers take in the
file, if they do not overlap. Both are read here from the metadata of the file, which is made of
flatbuffers: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format, and `File.fbs` and
`Message.fbs` in the repository of Arrow.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from levada.artifact import CorruptArtifact

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"ARROW1"
_CONTINUATION = 0xFFFFFFFF
# Fields of tables, by their place in the schema.
_FOOTER_DICTIONARIES, _FOOTER_BATCHES = 2, 3
_MESSAGE_KIND, _MESSAGE_HEADER = 1, 2
_DICTIONARY_DATA = 1
_BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 3
# Kinds of messages.
_DICTIONARY, _BATCH = 2, 3
_BLOCK = struct.Struct("<qi4xq")  # offset, bytes of metadata, bytes of the body
_BUFFER = struct.Struct("<qq")  # offset, length


def check_file(data: bytes) -> None:
    """Make sure that a file is as large as what is in it. Raises CorruptArtifact."""
    try:
        held = sum(map(_held, _messages(data)))
    except (struct.error, IndexError, ValueError) as error:
        raise CorruptArtifact(f"a stored table is not what it says: {error}") from error
    if held > len(data):
        raise CorruptArtifact(
            f"a stored table of {len(data):,} bytes says that it has {held:,} bytes of buffers"
        )


def _messages(data: bytes) -> Iterator[_Table]:
    """Give the message of each batch that the footer lists."""
    if data[:6] != _MAGIC or data[-6:] != _MAGIC:
        raise ValueError("it is no Arrow file")
    (length,) = struct.unpack_from("<i", data, len(data) - 10)
    footer = _Table.root(memoryview(data)[len(data) - 10 - length : len(data) - 10])
    for field in (_FOOTER_DICTIONARIES, _FOOTER_BATCHES):
        for offset, size, _ in footer.structs(field, _BLOCK):
            if not 0 <= offset <= len(data) or not 0 <= size <= len(data) - offset:
                raise ValueError("a batch is outside of the file")
            (mark,) = struct.unpack_from("<I", data, offset)
            start = offset + (8 if mark == _CONTINUATION else 4)
            yield _Table.root(memoryview(data)[start : offset + size])


def _held(message: _Table) -> int:
    """Return how many bytes the buffers of a message have."""
    batch, kind = message.table(_MESSAGE_HEADER), message.byte(_MESSAGE_KIND)
    if kind == _DICTIONARY:
        batch = batch.table(_DICTIONARY_DATA)
    elif kind != _BATCH:
        raise ValueError(f"a message of kind {kind} is in the place of a batch")
    if batch.has(_BATCH_COMPRESSION):
        raise CorruptArtifact("a stored table is compressed, which Levada's are not")
    held = 0
    for _, length in batch.structs(_BATCH_BUFFERS, _BUFFER):
        if length < 0:
            raise ValueError("a buffer has a negative length")
        held += length
    return held


class _Table:
    """A table of a flatbuffer: https://flatbuffers.dev/internals."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        (back,) = struct.unpack_from("<i", data, at)
        self._fields = at - back
        if self._fields < 0:
            raise ValueError("a table has its fields before the file")
        (self._size,) = struct.unpack_from("<H", data, self._fields)

    @classmethod
    def root(cls, data: memoryview) -> _Table:
        return cls(data, *struct.unpack_from("<I", data))

    def has(self, field: int) -> bool:
        return self._place(field) is not None

    def byte(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else self._data[place]

    def table(self, field: int) -> _Table:
        place = self._place(field)
        if place is None:
            raise ValueError("a table has no header")
        return _Table(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def structs(self, field: int, form: struct.Struct) -> Iterator[tuple[int, ...]]:
        place = self._place(field)
        if place is None:
            return
        place += struct.unpack_from("<I", self._data, place)[0]
        (count,) = struct.unpack_from("<I", self._data, place)
        first = place + 4
        end = first + count * form.size
        if end > len(self._data):
            raise ValueError("a list is longer than the file")
        yield from form.iter_unpack(self._data[first:end])

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return None
        (offset,) = struct.unpack_from("<H", self._data, self._fields + entry)
        return self._at + offset if offset else None
