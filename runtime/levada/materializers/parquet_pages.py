"""Looks at the pages of a Parquet file before a library decodes them.

What is decoded is bounded by what the headers of the pages say: a reader decompresses a page to the
size in its header and decodes as many values as its header says. The footer is not believed. The
format is https://github.com/apache/parquet-format (`parquet.thrift`), with Thrift's compact
protocol. Levada stores values one by one (PLAIN), so a page with a dictionary or of another
encoding, which may say "this value, a billion times", is not of Levada.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from levada.artifact import CorruptArtifact

if TYPE_CHECKING:
    from pyarrow.parquet import ColumnSchema, FileMetaData

_WRITER = "parquet-cpp-arrow"  # files of other writers are read with corrections of their faults
# Fields of a page's header, by their numbers.
_TYPE, _EXPANDED, _STORED, _DATA_PAGE = 1, 2, 3, 5
_VALUES, _ENCODING = 1, 2  # of the part about a data page
_DATA, _PLAIN = 0, 0  # values of _TYPE and _ENCODING
#: Bytes that a value takes when it is decoded, null or not; of texts it is the offset.
_WIDTHS = {
    "BOOLEAN": 1,
    "INT32": 4,
    "INT64": 8,
    "INT96": 12,
    "FLOAT": 4,
    "DOUBLE": 8,
    "BYTE_ARRAY": 8,
}


def declared_size(metadata: FileMetaData) -> int:
    """Return the bytes that a file takes when it is read, if its footer is to be believed.

    It is never less than `decoded_size` of the same file.
    """
    total = 0
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for column in range(chunks.num_columns):
            chunk = chunks.column(column)
            width = _width(metadata.schema.column(column))
            total += chunk.total_uncompressed_size + width * chunk.num_values
    return total


def decoded_size(data: bytes, metadata: FileMetaData) -> int:
    """Return the bytes that a file takes when it is read. Raises CorruptArtifact."""
    if not str(metadata.created_by).startswith(_WRITER):
        raise CorruptArtifact(f"a stored frame was not written by {_WRITER}")
    total = 0
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        # Without rows nothing is decoded, and there may be no pages.
        for column in range(chunks.num_columns if chunks.num_rows else 0):
            chunk = chunks.column(column)
            start, end = (
                chunk.data_page_offset,
                chunk.data_page_offset + chunk.total_compressed_size,
            )
            if chunk.has_dictionary_page or not 0 < start <= end <= len(data):
                raise CorruptArtifact("a stored frame has pages that Levada does not write")
            try:
                size, values = _pages(data, start, end)
            except (IndexError, KeyError, TypeError, ValueError) as error:
                raise CorruptArtifact(f"a stored frame has a malformed page: {error}") from error
            if values < chunks.num_rows:
                raise CorruptArtifact("a stored frame has fewer values than rows")
            total += size + _width(metadata.schema.column(column)) * values
    return total


def _width(column: ColumnSchema) -> int:
    own: int = _WIDTHS.get(column.physical_type) or max(column.length, 0)
    lists: int = column.max_repetition_level
    return own + 8 * lists  # each list that it is in has offsets


def _pages(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the bytes when decompressed, and the number of values, of a column's pages."""
    size = values = 0
    while at < end:
        header, at = _structure(data, at)
        part = header[_DATA_PAGE]
        if header[_TYPE] != _DATA or part[_ENCODING] != _PLAIN:
            raise ValueError("its values are not stored one by one")
        if min(header[_EXPANDED], header[_STORED], part[_VALUES]) < 0:
            raise ValueError("a size is negative")
        size += header[_EXPANDED]
        values += part[_VALUES]
        at += header[_STORED]
    return size, values


def _structure(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Read a structure of the compact protocol; give it, by field, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    if depth > 3:
        raise ValueError("a header is nested too deep")
    while (head := data[at]) != 0:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        kind = head & 15
        if kind in (1, 2):  # the two booleans
            fields[number] = kind == 1
        elif kind in (4, 5, 6):  # integers of 16, 32 and 64 bits
            fields[number], at = _integer(data, at)
        elif kind == 8:  # bytes: the least and the largest value of a page
            length, at = _unsigned(data, at)
            at += length
        elif kind == 12:
            fields[number], at = _structure(data, at, depth + 1)
        else:
            raise ValueError(f"a header has a field of type {kind}")
    return fields, at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Read a signed number: its sign is the lowest bit."""
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number is too long")
