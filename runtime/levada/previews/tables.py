"""Previews of frames: shape, types, missing values, quartiles, and the first 50 rows.

Of a large frame every n-th row is looked at; ``sampled`` says how many rows the figures are of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from levada.previews.cells import cell, shorten

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from levada.json_types import Json
    from levada.previews import Preview

_ROWS = 50
_COLUMNS = 100
#: Cells that the figures are of: 10,000 rows of 25 columns.
_SAMPLE = 250_000


def _stride(rows: int, columns: int) -> int:
    """Every which row is looked at."""
    wanted = max(_SAMPLE // max(min(columns, _COLUMNS), 1), _ROWS)
    return max(-(-rows // wanted), 1)


def _table(
    rows: int, total: int, columns: list[dict[str, Json]], head: list[list[Json]], sampled: int
) -> Preview:
    return {
        "kind": "table",
        "rows": rows,
        "columns_total": total,
        "columns": columns,
        "sampled": sampled,
        "head": head,
        "truncated": rows > len(head) or total > len(columns),
    }


def show_pandas(value: pd.DataFrame | pd.Series | pd.Index | Any) -> Preview:
    """Show a frame, a series, an index or an array of pandas."""
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        frame = value
    elif isinstance(value, pd.MultiIndex):
        frame = value[: value.size].to_frame(index=False, allow_duplicates=True)
    else:
        frame = pd.DataFrame({"values": pd.Series(value)})
        if isinstance(value, pd.Series):
            frame.columns = pd.Index([value.name if value.name is not None else "values"])
    frame_shown = frame.iloc[:, :_COLUMNS]
    looked_at = frame_shown.iloc[:: _stride(*frame.shape)]
    columns = [_pandas_column(looked_at.iloc[:, at], label) for at, label in enumerate(looked_at)]
    first = frame_shown.iloc[:_ROWS]
    by_column = [[cell(_plain(each)) for each in first.iloc[:, at]] for at in range(len(columns))]
    head = [list(row) for row in zip(*by_column, strict=True)]
    preview = _table(*frame.shape, columns, head, len(looked_at))
    if not isinstance(first.index, pd.RangeIndex):
        preview["index"] = [cell(_plain(each)) for each in first.index]
    return preview


def _pandas_column(column: pd.Series, label: object) -> dict[str, Json]:
    from pandas.api import types

    found: dict[str, Json] = {
        "name": shorten(str(label)),
        "type": shorten(str(column.dtype)),
        "nulls": int(column.isna().sum()),
    }
    if types.is_bool_dtype(column.dtype) or not types.is_numeric_dtype(column.dtype):
        return found
    if types.is_complex_dtype(column.dtype):
        return found
    from levada.previews.numbers import quantiles

    return found | quantiles(column.dropna().to_numpy(dtype="float64"))


def _plain(value: Any) -> object:
    """Give the Python value of a scalar of NumPy."""
    is_scalar = type(value).__module__ == "numpy" and not getattr(value, "ndim", 1)
    return value.item() if is_scalar and value.dtype.kind in "biuf" else value


def show_polars(value: pl.DataFrame | pl.Series) -> Preview:
    """Show a frame or a series of polars."""
    import polars as pl

    frame = value.to_frame() if isinstance(value, pl.Series) else value
    shown = frame[:, :_COLUMNS]
    looked_at = shown.gather_every(_stride(frame.height, frame.width))
    columns = [_polars_column(column) for column in looked_at]
    head: list[list[Json]] = [[cell(each) for each in row] for row in shown.head(_ROWS).rows()]
    return _table(frame.height, frame.width, columns, head, looked_at.height)


def _polars_column(column: pl.Series) -> dict[str, Json]:
    missing = column.null_count()
    found: dict[str, Json] = {
        "name": shorten(column.name),
        "type": shorten(str(column.dtype)),
        "nulls": missing,
    }
    if not column.dtype.is_numeric():
        return found
    numbers = column.drop_nulls().cast(float)
    numbers = numbers.filter(numbers.is_finite())
    if not len(numbers):
        return found
    middle = [numbers.quantile(part, "linear") for part in (0.25, 0.5, 0.75)]
    low, high, mean = numbers.min(), numbers.max(), numbers.mean()
    return found | {
        "min": cell(low),
        "max": cell(high),
        "mean": cell(mean),
        "quantiles": [cell(each) for each in middle],
    }


def show_arrow(table: pa.Table) -> Preview:
    """Show a table of pyarrow."""
    shown = table.select(list(range(min(table.num_columns, _COLUMNS))))
    stride = _stride(table.num_rows, table.num_columns)
    looked_at = shown
    if stride > 1:
        import pyarrow as pa

        looked_at = shown.take(pa.array(range(0, table.num_rows, stride)))
    columns = [_arrow_column(field, looked_at.column(at)) for at, field in enumerate(shown.schema)]
    first = shown.slice(0, _ROWS)
    by_column = [[cell(each.as_py()) for each in first.column(at)] for at in range(len(columns))]
    head: list[list[Json]] = [list(row) for row in zip(*by_column, strict=True)]
    return _table(table.num_rows, table.num_columns, columns, head, looked_at.num_rows)


def _arrow_column(field: pa.Field, column: pa.ChunkedArray) -> dict[str, Json]:
    import pyarrow.compute as pc
    from pyarrow import types

    found: dict[str, Json] = {
        "name": shorten(field.name),
        "type": shorten(str(field.type)),
        "nulls": column.null_count,
    }
    if not (types.is_integer(field.type) or types.is_floating(field.type)):
        return found
    numbers = column.drop_null().cast("float64", safe=False)
    numbers = numbers.filter(pc.is_finite(numbers))
    if not len(numbers):
        return found
    low, first, median, third, high = pc.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]).to_pylist()
    mean = cell(pc.mean(numbers).as_py())
    return found | {"min": low, "max": high, "mean": mean, "quantiles": [first, median, third]}
