"""pandas: frames, series, indexes and extension arrays as Parquet; scalars in place in the tree.

Any tool can read the columns. What Parquet does not have (labels that are not text, the kinds of
indexes, categories, periods, Python objects in a column) is described in the metadata of the file
under the key ``levada``, as JSON. A column that cannot be kept exactly is refused.
"""

from __future__ import annotations

import json
from binascii import a2b_base64
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from levada.artifact import CorruptArtifact, MaterializerError, check_expansion
from levada.materializers.arrow_tables import read_ipc, write_ipc
from levada.materializers.parquet_pages import declared_size, decoded_size
from levada.previews.tables import show_pandas
from levada.trees.canonical import canonical, parse
from levada.trees.classes import type_name
from levada.trees.decode import Decoder
from levada.trees.encode import Encoder, base64

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable
    from typing import TypeAlias

    import numpy.typing as npt

    from levada.trees.tree_types import Content

    Array: TypeAlias = "npt.NDArray[Any]"
    PandasValue: TypeAlias = (
        "pd.DataFrame | pd.Series | pd.Index | pd.api.extensions.ExtensionArray"
    )

    from levada.materializers import Sink, Source
    from levada.trees.tree_types import Tree

_KEY = b"levada"
_NAT = np.iinfo(np.int64).min  # how NumPy and pandas spell NaT
# What pandas wraps a NumPy array in; its dtype says so, but has no public name.
_WRAPPER: Any = type(pd.Series([0]).array.dtype)
_ARRAY = pd.api.extensions.ExtensionArray


class PandasMaterializer:
    """Keeps DataFrame, Series, every Index and the extension arrays of pandas."""

    name = "pandas"

    def handles(self, value: object) -> bool:
        """Whether this is one of them, and no subclass of a frame or a series."""
        ours = type(value).__module__.partition(".")[0] == "pandas"
        return ours and isinstance(value, (pd.DataFrame, pd.Series, pd.Index, _ARRAY))

    def save(self, value: PandasValue, sink: Sink) -> None:
        """Write a Parquet file. Raises MaterializerError for what it cannot keep exactly."""
        columns = _Columns()
        try:
            spec = _pack(value, columns)
            table = columns.table()
            _check_types(table)
        except (pa.ArrowException, OverflowError) as error:
            raise MaterializerError(
                f"a pandas value cannot be kept exactly: {error}; convert it with .astype(…)"
            ) from error
        table = table.replace_schema_metadata({_KEY: canonical(spec)})
        sink.format = "parquet"
        sink.type = f"pandas:{type(value).__name__}"
        sink.meta = {"shape": list(value.shape)}
        sink.preview = partial(show_pandas, value)
        if not sink.fits(declared_size(_write_parquet(table, sink))):
            # Billions of equal or missing values, for example: that file could not be loaded.
            sink.restart()
            sink.format = "arrow"
            write_ipc(table, sink)

    def load(self, source: Source) -> object:
        """Read it."""
        data = source.read()
        if source.format == "arrow":
            table = read_ipc(data)
            source.check(table.nbytes)
        else:
            source.check(decoded_size(data, pq.read_metadata(pa.BufferReader(data))))
            table = pq.read_table(pa.BufferReader(data))
        return _unpack(parse(table.schema.metadata[_KEY]), table)


def _write_parquet(table: pa.Table, sink: Sink | BytesIO) -> pq.FileMetaData:
    written: list[pq.FileMetaData] = []
    pq.write_table(
        table, pa.PythonFile(sink, "w"), compression="zstd", compression_level=1,
        use_dictionary=False, use_compliant_nested_type=False, metadata_collector=written,
    )  # fmt: skip
    return written[0]


def _check_types(table: pa.Table) -> None:
    """Make sure that Parquet gives every type back, by a file without rows."""
    buffer = BytesIO()
    _write_parquet(table.slice(0, 0), buffer)
    buffer.seek(0)
    kept = pq.read_schema(buffer)
    for field in table.schema:
        found = kept.field(kept.get_field_index(field.name)).type
        if found != field.type and not pa.types.is_timestamp(found):
            raise pa.ArrowTypeError(f"{field.name} of type {field.type} would become {found}")


class _Columns:
    """The columns of the file, with names that are unique."""

    def __init__(self) -> None:
        self._arrays: dict[str, pa.Array] = {}

    def add(self, array: pa.Array, name: str) -> str:
        """Add an Arrow array; gives the name that it has got."""
        unique, number = name, 0
        while unique in self._arrays:
            number += 1
            unique = f"{name}.{number}"
        self._arrays[unique] = array
        return unique

    def table(self) -> pa.Table:
        return pa.table(self._arrays)


def _pack(value: PandasValue, columns: _Columns) -> Tree:
    if isinstance(value, pd.DataFrame):
        return _pack_frame(value, columns)
    if isinstance(value, pd.Series):
        return {
            "kind": "series",
            "values": _pack_values(value.array, columns, _column_name(value.name, 0)),
            "index": _pack_index(value.index, columns),
            "name": Encoder(None).encode(value.name),
            **_pack_extras(value),
        }
    if isinstance(value, pd.Index):
        return {"kind": "index", "index": _pack_index(value, columns)}
    return {"kind": "array", "values": _pack_values(value, columns, "values")}


def _pack_frame(frame: pd.DataFrame, columns: _Columns) -> Tree:
    values = [
        _pack_values(frame.iloc[:, position].array, columns, _column_name(label, position))
        for position, label in enumerate(frame.columns)
    ]
    return {
        "kind": "frame",
        "values": values,
        "labels": _pack_apart(frame.columns),
        "index": _pack_index(frame.index, columns),
        **_pack_extras(frame),
    }


def _column_name(label: object, position: int) -> str:
    """Name a column for other tools: its label if that is text, else its place."""
    if type(label) is str and label.isprintable():
        return label
    return f"column {position}"


def _pack_extras(value: pd.DataFrame | pd.Series) -> dict[str, Tree]:
    extras: dict[str, Tree] = {}
    if value.attrs:
        extras["attrs"] = Encoder(None).encode(value.attrs)
    if not value.flags.allows_duplicate_labels:
        extras["unique"] = True
    return extras


def _pack_apart(index: pd.Index) -> Tree:
    """Describe an index whose length is not that of the file's columns."""
    columns = _Columns()
    spec = _pack_index(index, columns)
    buffer = BytesIO()
    write_ipc(columns.table(), buffer)
    return {"index": spec, "arrow": base64(buffer.getbuffer())}


def _pack_index(index: pd.Index, columns: _Columns) -> Tree:
    names = [Encoder(None).encode(name) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return {"kind": "range", "range": [index.start, index.stop, index.step], "names": names}
    if isinstance(index, pd.MultiIndex):
        codes = [
            columns.add(pa.array(np.asarray(codes, dtype=np.int64)), f"index {level}")
            for level, codes in enumerate(index.codes)
        ]
        levels = [_pack_apart(level.rename(None)) for level in index.levels]
        return {"kind": "multi", "codes": codes, "levels": levels, "names": names}
    spec = {"kind": "flat", "values": _pack_values(index.array, columns, "index"), "names": names}
    if getattr(index, "freq", None) is not None and not isinstance(index, pd.PeriodIndex):
        spec["freq"] = _pack_frequency(index)
    return spec


def _pack_frequency(index: Any) -> str:
    """Return the name of an index's offset, if the name gives the same offset again."""
    name: str = index.freqstr
    again = index.copy()
    try:
        again.freq = pd.tseries.frequencies.to_offset(name)
    except ValueError:
        again.freq = None
    if again.freq != index.freq:
        raise MaterializerError(
            f"an index with the frequency {index.freq!r} cannot be kept: its name {name!r} does not"
            " say all of it (holidays, times); write `index.freq = None` before you return it"
        )
    return name


def _pack_values(array: Any, columns: _Columns, name: str) -> Tree:
    """Describe one column and add its data."""
    dtype: Any = array.dtype
    if isinstance(dtype, _WRAPPER):
        array, dtype = np.asarray(array), dtype.numpy_dtype
    for is_one, pack in _PACKERS:
        if is_one(dtype):
            spec: Tree = pack(array, columns, name)
            return spec
    raise MaterializerError(
        f"a pandas column of dtype {dtype} cannot be kept exactly; convert {name!r} with .astype(…)"
        " (a sparse one with .sparse.to_dense())"
    )


def _is_number(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.isnative and dtype.str[1:] in _NUMBERS


_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


def _pack_number(array: Array, columns: _Columns, name: str) -> Tree:
    values = pa.array(np.ascontiguousarray(array), from_pandas=False)
    return {"kind": "number", "dtype": array.dtype.str, "column": columns.add(values, name)}


def _is_complex(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.isnative and dtype.str[1:] in ("c8", "c16")


def _pack_complex(array: Array, columns: _Columns, name: str) -> Tree:
    parts = [array.real, array.imag]
    names = [columns.add(pa.array(np.ascontiguousarray(part)), name) for part in parts]
    return {"kind": "complex", "dtype": array.dtype.str, "columns": names}


def _is_moment(dtype: object) -> bool:
    naive = isinstance(dtype, np.dtype) and dtype.kind == "M"
    return naive or isinstance(dtype, pd.DatetimeTZDtype)


def _pack_moment(array: Any, columns: _Columns, name: str) -> Tree:
    unit = np.datetime_data(getattr(array.dtype, "base", array.dtype))[0]
    zone = array.dtype.tz if isinstance(array.dtype, pd.DatetimeTZDtype) else None
    spec = None if zone is None else _pack_zone(zone)
    shown = None if zone is None else spec if isinstance(spec, str) else "UTC"
    values = _integers(array).cast(pa.timestamp(unit, shown))
    return {"kind": "moment", "unit": unit, "zone": spec, "column": columns.add(values, name)}


def _integers(array: Any) -> pa.Array:
    """Give the 64-bit integers behind times or spans, null where NaT is."""
    integers = np.ascontiguousarray(np.asarray(array.view("i8")))
    return pa.array(integers, mask=integers == _NAT)


def _pack_zone(zone: datetime.tzinfo) -> Tree:
    """Describe a time zone: its IANA name, or the seconds of a fixed offset."""
    import datetime
    import zoneinfo

    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return zone.key
    if type(zone) is datetime.timezone and zone == datetime.timezone(zone.utcoffset(None)):
        return [zone.utcoffset(None).total_seconds()]
    raise MaterializerError(
        f"a time zone of type {type_name(type(zone))} cannot be kept; convert with"
        " .dt.tz_convert(zoneinfo.ZoneInfo(…))"
    )


def _unpack_zone(spec: Content) -> datetime.tzinfo:
    import datetime
    import zoneinfo

    if isinstance(spec, str):
        return zoneinfo.ZoneInfo(spec)
    return datetime.timezone(datetime.timedelta(seconds=spec[0]))


def _is_span(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "m"


def _pack_span(array: Array, columns: _Columns, name: str) -> Tree:
    unit = np.datetime_data(array.dtype)[0]
    values = _integers(array).cast(pa.duration(unit))
    return {"kind": "span", "unit": unit, "column": columns.add(values, name)}


def _is_categorical(dtype: object) -> bool:
    return isinstance(dtype, pd.CategoricalDtype)


def _pack_categorical(array: pd.Categorical, columns: _Columns, name: str) -> Tree:
    codes = pa.array(np.ascontiguousarray(array.codes), mask=array.codes < 0)
    categories = _pack_apart(array.categories)
    column = columns.add(codes, name)
    return {
        "kind": "categorical",
        "categories": categories,
        "ordered": bool(array.ordered),
        "column": column,
    }


def _is_period(dtype: object) -> bool:
    return isinstance(dtype, pd.PeriodDtype)


def _pack_period(array: pd.arrays.PeriodArray, columns: _Columns, name: str) -> Tree:
    column = columns.add(_integers(array), name)
    return {"kind": "period", "freq": array.freqstr, "column": column}


def _is_interval(dtype: object) -> bool:
    return isinstance(dtype, pd.IntervalDtype)


def _pack_interval(array: pd.arrays.IntervalArray, columns: _Columns, name: str) -> Tree:
    left = _pack_values(array.left.array, columns, f"{name} left")
    right = _pack_values(array.right.array, columns, f"{name} right")
    return {"kind": "interval", "closed": array.closed, "left": left, "right": right}


def _is_string(dtype: object) -> bool:
    return isinstance(dtype, pd.StringDtype)


def _pack_string(array: Any, columns: _Columns, name: str) -> Tree:
    items = array.to_numpy(dtype=object, na_value=None)
    missing = "NA" if array.dtype.na_value is pd.NA else "nan"
    try:
        column = columns.add(pa.array(items, pa.large_string()), name)
    except UnicodeEncodeError:
        raise MaterializerError(
            f"the pandas column {name!r} holds text that is no Unicode (a lone surrogate); clean it"
        ) from None
    return {"kind": "string", "storage": array.dtype.storage, "missing": missing, "column": column}


def _is_masked(dtype: object) -> bool:
    return type(dtype).__module__.startswith("pandas") and str(dtype) in _MASKED


_MASKED = (
    "boolean",
    "Float32",
    "Float64",
    *(f"{s}nt{b}" for s in ("I", "UI") for b in (8, 16, 32, 64)),
)


def _pack_masked(array: Any, columns: _Columns, name: str) -> Tree:
    """Keep NaN beside NA: pandas' own way to Arrow and back makes one of the other."""
    values = pa.array(array._data, mask=array._mask, from_pandas=False)
    return {"kind": "masked", "dtype": str(array.dtype), "column": columns.add(values, name)}


def _is_arrow(dtype: object) -> bool:
    return isinstance(dtype, pd.ArrowDtype)


def _pack_arrow(array: pd.arrays.ArrowExtensionArray, columns: _Columns, name: str) -> Tree:
    """Keep the type of Arrow; Parquet makes milliseconds of seconds, so the unit is noted."""
    values = array.__arrow_array__()
    unit = values.type.unit if pa.types.is_timestamp(values.type) else None
    return {"kind": "arrow", "unit": unit, "column": columns.add(values, name)}


def _is_object(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _pack_object(array: object, columns: _Columns, name: str) -> Tree:
    """Keep text as text, and anything else that has a tree as canonical JSON, cell by cell."""
    items = np.asarray(array)
    if {str, type(None)}.issuperset(map(type, items)):
        try:
            return {"kind": "text", "column": columns.add(pa.array(items, pa.large_string()), name)}
        except UnicodeEncodeError:
            pass  # Lone surrogates: JSON escapes them.
    if (arrays := _pack_arrays(items, columns, name)) is not None:
        return arrays
    encoder = Encoder(None)
    try:
        cells = [canonical(encoder.encode(item)).decode() for item in items]
    except MaterializerError as error:
        raise error.inside(f"[{name!r}]") from error.__cause__
    return {"kind": "json", "column": columns.add(pa.array(cells, pa.large_string()), name)}


def _pack_arrays(items: Array, columns: _Columns, name: str) -> Tree:
    """Keep cells that are flat arrays of one dtype (embeddings) as lists; None for any others."""
    found = [item for item in items if item is not None]
    if not found or {type(item) for item in found} != {np.ndarray}:
        return None
    dtypes = {item.dtype for item in found}
    dtype = next(iter(dtypes))
    if len(dtypes) > 1 or any(item.ndim != 1 for item in found):
        return None
    if _is_number(dtype):
        kind = pa.from_numpy_dtype(dtype)
    elif dtype.kind == "O" and all(type(each) is str for item in found for each in item):
        kind = pa.large_string()
    else:
        return None
    values = pa.array(list(items), pa.large_list(kind), from_pandas=False)
    return {"kind": "arrays", "dtype": dtype.str, "column": columns.add(values, name)}


_PACKERS: tuple[tuple[Callable[[object], bool], Callable[[Any, _Columns, str], Tree]], ...] = (
    (_is_number, _pack_number),
    (_is_complex, _pack_complex),
    (_is_moment, _pack_moment),
    (_is_span, _pack_span),
    (_is_categorical, _pack_categorical),
    (_is_period, _pack_period),
    (_is_interval, _pack_interval),
    (_is_string, _pack_string),
    (_is_masked, _pack_masked),
    (_is_arrow, _pack_arrow),
    (_is_object, _pack_object),
)


def _unpack(spec: Content, table: pa.Table) -> Any:
    value = _KINDS[spec["kind"]](spec, table)
    if "attrs" in spec:
        value.attrs = Decoder(None).decode(spec["attrs"])
    return value.set_flags(allows_duplicate_labels=False) if "unique" in spec else value


def _unpack_frame(spec: Content, table: pa.Table) -> pd.DataFrame:
    index = _unpack_index(spec["index"], table)
    rows = pd.RangeIndex(len(index))
    columns = {
        position: _series(_unpack_values(values, table), rows)
        for position, values in enumerate(spec["values"])
    }
    frame = pd.DataFrame(columns, index=rows)
    frame.index = index
    frame.columns = _unpack_apart(spec["labels"])
    return frame


def _series(values: Any, index: pd.Index) -> pd.Series:
    series: pd.Series = pd.Series(values, index=index, dtype=values.dtype)
    return series


def _unpack_series(spec: Content, table: pa.Table) -> object:
    series = _series(_unpack_values(spec["values"], table), _unpack_index(spec["index"], table))
    return series.rename(Decoder(None).decode(spec["name"]))


def _unpack_lone_index(spec: Content, table: pa.Table) -> pd.Index:
    return _unpack_index(spec["index"], table)


def _unpack_array(spec: Content, table: pa.Table) -> object:
    return pd.Series(_unpack_values(spec["values"], table)).array


_KINDS: dict[str, Callable[[Tree, pa.Table], Any]] = {
    "frame": _unpack_frame,
    "series": _unpack_series,
    "index": _unpack_lone_index,
    "array": _unpack_array,
}


def _unpack_apart(spec: Content) -> pd.Index:
    data = a2b_base64(spec["arrow"])
    index = _unpack_index(spec["index"], read_ipc(data))
    check_expansion(8 * len(index), len(data))  # a range takes nothing before its labels are used
    return index


def _unpack_index(spec: Content, table: pa.Table) -> pd.Index:
    names = [Decoder(None).decode(name) for name in spec["names"]]
    if spec["kind"] == "range":
        start, stop, step = spec["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if spec["kind"] == "multi":
        codes: Any = [_numbers(table, column) for column in spec["codes"]]
        levels: Any = [_unpack_apart(level) for level in spec["levels"]]
        return pd.MultiIndex(levels, codes, names=names)
    values = _unpack_values(spec["values"], table)
    index: Any = pd.Index(values, name=names[0], dtype=values.dtype)
    if "freq" in spec:
        index.freq = pd.tseries.frequencies.to_offset(spec["freq"])
    found: pd.Index = index
    return found


def _numbers(table: pa.Table, column: str) -> Array:
    numbers: Array = table.column(column).to_numpy()
    return numbers


def _unpack_values(spec: Content, table: pa.Table) -> Any:
    """Give the array of one column, with the dtype that it had."""
    return _UNPACKERS[spec["kind"]](spec, table)


def _unpack_number(spec: Content, table: pa.Table) -> object:
    numbers, dtype = _numbers(table, spec["column"]), np.dtype(spec["dtype"])
    if numbers.dtype != dtype:
        raise CorruptArtifact(f"a stored column of {numbers.dtype} cannot be of {dtype}")
    return np.array(numbers)


def _unpack_complex(spec: Content, table: pa.Table) -> object:
    real, imaginary = (_numbers(table, column) for column in spec["columns"])
    dtype = np.dtype(spec["dtype"])
    if not _is_complex(dtype):
        raise CorruptArtifact(f"a stored complex column cannot be of {dtype}")
    values = np.empty(len(real), dtype=dtype)
    values.real, values.imag = real, imaginary
    return values


def _read_integers(column: pa.ChunkedArray) -> Array:
    return np.array(column.cast(pa.int64()).fill_null(_NAT).to_numpy())


def _unpack_moment(spec: Content, table: pa.Table) -> object:
    column, unit, zone = table.column(spec["column"]), spec["unit"], spec["zone"]
    column = column.cast(pa.timestamp(unit, column.type.tz))
    moments: Any = pd.DatetimeIndex(_read_integers(column).view(f"M8[{unit}]"))
    if zone is not None:
        moments = moments.tz_localize("UTC").tz_convert(_unpack_zone(zone))
    return moments.array if zone is not None else moments.to_numpy()


def _unpack_span(spec: Content, table: pa.Table) -> object:
    column = table.column(spec["column"]).cast(pa.duration(spec["unit"]))
    return _read_integers(column).view(f"m8[{spec['unit']}]")


def _unpack_categorical(spec: Content, table: pa.Table) -> object:
    categories = _unpack_apart(spec["categories"])
    dtype = pd.CategoricalDtype(categories, ordered=spec["ordered"])
    codes = table.column(spec["column"]).fill_null(-1).to_numpy()
    return pd.Categorical.from_codes(codes, dtype=dtype)


def _unpack_period(spec: Content, table: pa.Table) -> object:
    ordinals = _read_integers(table.column(spec["column"]))
    periods: Any = pd.PeriodIndex
    return periods.from_ordinals(ordinals, freq=spec["freq"]).array


def _unpack_interval(spec: Content, table: pa.Table) -> object:
    left, right = (_unpack_values(spec[side], table) for side in ("left", "right"))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=spec["closed"])


def _unpack_string(spec: Content, table: pa.Table) -> object:
    missing = pd.NA if spec["missing"] == "NA" else np.nan
    dtype = pd.StringDtype(spec["storage"], na_value=missing)
    return pd.array(_objects(table, spec), dtype=dtype)


def _unpack_masked(spec: Content, table: pa.Table) -> object:
    dtype: Any = pd.api.types.pandas_dtype(spec["dtype"])
    column = table.column(spec["column"])
    mask = np.array(column.is_null().to_numpy())
    empty = False if dtype.numpy_dtype.kind == "b" else 0
    values = np.array(column.fill_null(empty).to_numpy(), dtype=dtype.numpy_dtype)
    return dtype.construct_array_type()(values, mask)


def _unpack_arrow(spec: Content, table: pa.Table) -> object:
    column = table.column(spec["column"])
    if spec["unit"] is not None:
        column = column.cast(pa.timestamp(spec["unit"], column.type.tz))
    return pd.arrays.ArrowExtensionArray(column)


def _objects(table: pa.Table, spec: Content) -> Array:
    items = table.column(spec["column"]).to_pylist()
    values = np.empty(len(items), dtype=object)
    values[:] = items
    return values


def _unpack_json(spec: Content, table: pa.Table) -> object:
    decoder = Decoder(None)
    cells = _objects(table, spec)
    for position, cell in enumerate(cells):
        cells[position] = decoder.decode(json.loads(cell))
    return cells


def _unpack_arrays(spec: Content, table: pa.Table) -> object:
    cells, dtype = _objects(table, spec), np.dtype(spec["dtype"])
    if not _is_number(dtype) and not _is_object(dtype):
        raise CorruptArtifact(f"a stored column of arrays cannot be of {dtype}")
    for position, cell in enumerate(cells):
        cells[position] = None if cell is None else np.array(cell, dtype=dtype)
    return cells


def _unpack_text(spec: Content, table: pa.Table) -> object:
    return _objects(table, spec)


_UNPACKERS: dict[str, Callable[[Tree, pa.Table], Any]] = {
    "arrays": _unpack_arrays,
    "number": _unpack_number,
    "complex": _unpack_complex,
    "moment": _unpack_moment,
    "span": _unpack_span,
    "categorical": _unpack_categorical,
    "period": _unpack_period,
    "interval": _unpack_interval,
    "string": _unpack_string,
    "masked": _unpack_masked,
    "arrow": _unpack_arrow,
    "json": _unpack_json,
    "text": _unpack_text,
}


def encode_scalar(encoder: Encoder, value: object) -> Tree | None:
    """Encode a scalar of pandas as ``{"$pandas": [kind, text, state]}``; None for anything else."""
    if value is pd.NaT:
        return {"$pandas": ["NaT", "NaT", None]}
    if value is pd.NA:
        return {"$pandas": ["NA", None, None]}
    if type(value) is pd.Timestamp:
        zone = None if value.tzinfo is None else _pack_zone(value.tzinfo)
        state = [int(value.asm8.astype(np.int64)), value.unit, zone]
        return {"$pandas": ["Timestamp", value.isoformat(), state]}
    if type(value) is pd.Timedelta:
        state = [int(value.asm8.astype(np.int64)), value.unit]
        return {"$pandas": ["Timedelta", str(value), state]}
    if type(value) is pd.Period:
        return {"$pandas": ["Period", str(value), [value.ordinal, value.freqstr]]}
    if type(value) is pd.Interval:
        state = [encoder.encode(value.left), encoder.encode(value.right), value.closed]
        return {"$pandas": ["Interval", str(value), state]}
    return None


def decode_scalar(decoder: Decoder, content: Content) -> object:
    """Decode ``[kind, text, state]``."""
    kind, _, state = content
    if kind in ("NaT", "NA"):
        return getattr(pd, kind)
    if kind == "Timestamp":
        moment = pd.Timestamp(np.datetime64(state[0], state[1]))
        return (
            moment
            if state[2] is None
            else moment.tz_localize("UTC").tz_convert(_unpack_zone(state[2]))
        )
    if kind == "Timedelta":
        return pd.Timedelta(np.timedelta64(state[0], state[1]))
    if kind == "Period":
        return pd.Period(ordinal=state[0], freq=state[1])
    if kind == "Interval":
        return pd.Interval(decoder.decode(state[0]), decoder.decode(state[1]), state[2])
    raise CorruptArtifact(f"$pandas cannot be a {kind!r}")


def materializer_for(value: object) -> PandasMaterializer | None:
    """Give the materializer. Raises MaterializerError for a subclass of a frame or a series."""
    if MATERIALIZER.handles(value):
        return MATERIALIZER
    if isinstance(value, (pd.DataFrame, pd.Series)):
        raise MaterializerError(
            f"a {type_name(type(value))} would lose its class; return pandas.DataFrame(…) of it, or"
            " register a materializer"
        )
    return None


MATERIALIZER = PandasMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
