"""PyArrow: tables, batches and arrays as an Arrow IPC file, which keeps every type of Arrow.

How a table is cut into chunks is not part of the value.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from levada.artifact import CorruptArtifact
from levada.materializers.arrow_files import check_file
from levada.previews.tables import show_arrow

if TYPE_CHECKING:
    from io import BytesIO

    from levada.materializers import Sink, Source

_COLUMN = "values"  # the only column where an array is stored


class ArrowMaterializer:
    """Keeps Table, RecordBatch, Array, ChunkedArray and Schema."""

    name = "arrow"

    def handles(self, value: object) -> bool:
        """Whether this is one of them."""
        return isinstance(value, (pa.Table, pa.RecordBatch, pa.Array, pa.ChunkedArray, pa.Schema))

    def save(self, value: object, sink: Sink) -> None:
        """Write an Arrow IPC file, in one batch where offsets of 32 bits allow it."""
        table, kind = _as_table(value)
        sink.format = "arrow"
        sink.meta = {"kind": kind}
        sink.type = f"pyarrow:{kind}"
        sink.preview = partial(show_arrow, table)
        write_ipc(table, sink)

    def load(self, source: Source) -> object:
        """Read it."""
        table = read_ipc(source.read())
        source.check(table.nbytes)
        kind = source.meta.get("kind")
        if kind == "Table":
            return table
        if kind == "Schema":
            return table.schema
        if kind == "RecordBatch":
            batches = table.combine_chunks().to_batches()
            return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
        column = table.column(_COLUMN)
        return column if kind == "ChunkedArray" else _one_array(column)


def _as_table(value: object) -> tuple[pa.Table, str]:
    if isinstance(value, pa.Table):
        return value, "Table"
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value]), "RecordBatch"
    if isinstance(value, pa.Schema):
        return value.empty_table(), "Schema"
    kind = "ChunkedArray" if isinstance(value, pa.ChunkedArray) else "Array"
    return pa.table({_COLUMN: value}), kind


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    if not isinstance(combined, pa.ChunkedArray):
        return combined
    return combined.chunk(0) if combined.num_chunks else pa.array([], column.type)


def write_ipc(table: pa.Table, sink: Sink | BytesIO) -> None:
    """Write a table in the Arrow IPC file format to a binary file."""
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def read_ipc(data: bytes) -> pa.Table:
    """Read a table of the Arrow IPC file format, in place. Raises CorruptArtifact."""
    check_file(data)
    try:
        with pa.ipc.open_file(pa.py_buffer(data)) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except pa.ArrowException as error:
        raise CorruptArtifact(f"a stored table is not what it says: {error}") from error
    return table


def materializer_for(value: object) -> ArrowMaterializer | None:
    """Give the materializer for a value of pyarrow."""
    return MATERIALIZER if MATERIALIZER.handles(value) else None


MATERIALIZER = ArrowMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
