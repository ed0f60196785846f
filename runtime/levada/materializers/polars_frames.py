"""Polars: frames and series as an Arrow IPC file."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import polars as pl

from levada.artifact import CorruptArtifact, MaterializerError
from levada.materializers.arrow_files import check_file
from levada.previews.tables import show_polars

if TYPE_CHECKING:
    from levada.materializers import Sink, Source


class PolarsMaterializer:
    """Keeps DataFrame and Series."""

    name = "polars"

    def handles(self, value: object) -> bool:
        """Whether this is a DataFrame or a Series, and no subclass."""
        return type(value) in (pl.DataFrame, pl.Series)

    def save(self, value: pl.DataFrame | pl.Series, sink: Sink) -> None:
        """Write an Arrow IPC file. Raises MaterializerError if it would lose a type."""
        frame = value.to_frame() if isinstance(value, pl.Series) else value
        data = BytesIO()
        try:
            frame.rechunk().write_ipc(data)
        except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
            raise _refusal(str(error)) from error
        data.seek(0)
        kept = pl.read_ipc_schema(data)
        if list(kept.items()) != list(frame.schema.items()):
            raise _refusal(f"{frame.schema} would become {kept}")
        sink.format = "arrow"
        sink.type = f"polars:{type(value).__name__}"
        sink.meta = {"columns": frame.width, "rows": frame.height}
        sink.preview = partial(show_polars, value)
        sink.write(data.getbuffer())

    def load(self, source: Source) -> pl.DataFrame | pl.Series:
        """Read it."""
        data = source.read()
        check_file(data)
        try:
            frame = pl.read_ipc(BytesIO(data))
        except pl.exceptions.PanicException as error:  # It is no Exception.
            raise CorruptArtifact(f"a stored frame is not what it says: {error}") from error
        if frame.width == 0 and source.meta.get("rows"):
            frame = pl.DataFrame(height=source.meta["rows"])
        return frame.to_series() if source.artifact.type == "polars:Series" else frame


def _refusal(reason: str) -> MaterializerError:
    return MaterializerError(
        f"a polars frame cannot be kept exactly: {reason}; cast the column to another type"
    )


def materializer_for(value: object) -> PolarsMaterializer | None:
    """Give the materializer. Raises MaterializerError for a LazyFrame."""
    if isinstance(value, pl.LazyFrame):
        raise MaterializerError(
            "a LazyFrame is a query and not a value: what it reads may change; return .collect()"
        )
    return MATERIALIZER if MATERIALIZER.handles(value) else None


MATERIALIZER = PolarsMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
