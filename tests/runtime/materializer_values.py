"""Values of other libraries: how each is made, the format it is kept in, and when two are equal."""

from __future__ import annotations

import datetime
import decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from PIL import Image
from polars.testing import assert_frame_equal as assert_polars
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from collections.abc import Callable

INSTANT = pd.Timestamp("2026-01-02 03:04:05.000006007")


def arrays() -> dict[str, Any]:
    return {
        "matrix": np.arange(6).reshape(2, 3),
        "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "not contiguous": np.arange(10)[::-2],
        "no dimension": np.array(3.0),
        "empty": np.zeros((0, 2), dtype=">i4"),
        "NaN and signs": np.array([np.nan, np.inf, -0.0], dtype="f2"),
        "text": np.array(["a", "é😀"]),
        "objects that are text": np.array([["a"], ["é"]], dtype=object),
        "strings of NumPy 2": np.array(["a", "é"], dtype=np.dtypes.StringDType()),
        "records": np.array([(1, "x")], dtype=[("a", "i4"), ("b", "U3")]),
        "dates": np.array(["2026", "NaT"], dtype="M8[D]"),
    }


def scalars() -> dict[str, Any]:
    return {
        "float32": np.float32(0.1),
        "float16 NaN": np.float16("nan"),
        "long double": np.longdouble("0.1"),
        "complex64": np.complex64(1 - 2j),
        "int8": np.int8(-3),
        "bool": np.bool_(True),
        "str": np.str_("é"),
        "bytes": np.bytes_(b"a\0b"),
        "str with NUL at its end": np.str_("a\0"),
        "bytes with NULs at the end": np.bytes_(b"a\0\0"),
        "date": np.datetime64("2026-01-02"),
        "NaT in ns": np.datetime64("NaT", "ns"),
        "span": np.timedelta64(-3, "D"),
        "dtype": np.dtype("<f4"),
        "Timestamp": INSTANT,
        "Timestamp with zone": INSTANT.tz_localize("Europe/Lisbon"),
        "pandas NaT": pd.NaT,
        "NA": pd.NA,
        "Timedelta": pd.Timedelta("1s"),
        "Period": pd.Period("2026-01", "M"),
        "Interval": pd.Interval(1, 2, "left"),
    }


def frames() -> dict[str, Any]:
    two_days = pd.date_range("2026", periods=2, freq="D")
    product = pd.MultiIndex.from_product([["a", "b"], two_days], names=["u", None])
    fixed = datetime.timezone(datetime.timedelta(hours=2))
    moments = pd.to_datetime(["2026-01-01", None])
    objects = [
        "a",
        None,
        1,
        [1, {"k": (1,)}],
        np.nan,
        pd.NA,
        pd.NaT,
        INSTANT,
        decimal.Decimal("1.0"),
    ]
    return {
        "plain": pd.DataFrame(
            {"a": [1, 2], "b": [1.5, np.nan], "c": ["é", None], "d": [True, False]}
        ),
        "objects": pd.DataFrame({"o": pd.Series(objects, dtype=object)}),
        "text as objects": pd.DataFrame({"o": pd.Series(["a", None], dtype=object)}),
        "lone surrogate": pd.DataFrame({"o": pd.Series(["\ud83d"], dtype=object)}),
        "nothing": pd.DataFrame(),
        "no columns": pd.DataFrame(index=[3, 4]),
        "no rows": pd.DataFrame(
            {"a": pd.Series([], dtype="f4"), "b": pd.Series([], dtype="category")}
        ),
        "two columns of a name": pd.DataFrame([[1, 2.0]], columns=["a", "a"]),
        "two rows of a label": pd.DataFrame({"a": [1, 2]}, index=["x", "x"]),
        "labels that are numbers": pd.DataFrame(np.zeros((2, 3))),
        "labels of all kinds": pd.DataFrame([[1, 2, 3, 4]], columns=["a", 1, (2, "x"), None]),
        "MultiIndex of columns": pd.DataFrame(np.zeros((1, 4)), columns=product),
        "MultiIndex": pd.DataFrame({"a": range(4)}, index=product),
        "MultiIndex with NaN": pd.DataFrame(
            {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", np.nan), ("b", 2)])
        ),
        "categories": pd.DataFrame(
            {
                "ordered": pd.Categorical(["x", None], categories=["z", "y", "x"], ordered=True),
                "numbers": pd.Categorical([1, None]),
                "bins": pd.cut([1, 3], 2),
            }
        ),
        "nullable": pd.DataFrame(
            {
                "i": pd.array([1, None], dtype="Int64"),
                "u": pd.array([1, None], dtype="UInt8"),
                "f": pd.array([0.5, None], dtype="Float32"),
                "b": pd.array([True, None], dtype="boolean"),
                "s": pd.array(["a", None], dtype="string"),
                "p": pd.array(["a", None], dtype=pd.StringDtype("python")),
            }
        ),
        "moments": pd.DataFrame(
            {
                "naive": moments,
                "s": moments.as_unit("s"),
                "ns": moments.as_unit("ns"),
                "Lisbon": moments.tz_localize("Europe/Lisbon"),
                "utc": moments.tz_localize("UTC"),
                "fixed": moments.tz_localize(fixed),
                "span": pd.to_timedelta(["1s", None]).as_unit("s"),
                "period": pd.PeriodIndex(["2026-01", None], freq="M"),
            }
        ),
        "frequency": pd.DataFrame({"a": [1, 2]}, index=two_days.rename("day")),
        "NaN beside NA": pd.DataFrame(
            {"a": pd.arrays.FloatingArray(np.array([1, np.nan, 2]), np.array([False, False, True]))}
        ),
        "arrays": pd.DataFrame(
            {
                "same": pd.Series([np.zeros(3), np.ones(3)], dtype=object),
                "ragged": pd.Series([np.arange(2), None], dtype=object),
                "texts": pd.Series(
                    [np.array(["a"], dtype=object), np.array(["b", "c"], dtype=object)],
                    dtype=object,
                ),
                "empty": pd.Series([np.zeros(0, "f4"), np.zeros(1, "f4")], dtype=object),
            }
        ),
        "arrow": pd.DataFrame(
            {
                "i": pd.array([1, None], dtype="int64[pyarrow]"),
                "l": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int8()))),
                "d": pd.array(
                    [decimal.Decimal("1.23"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))
                ),
                "t": pd.array([INSTANT.floor("s"), None], dtype="timestamp[s][pyarrow]"),
            }
        ),
        "numbers": pd.DataFrame(
            {
                "c": np.array([1 + 2j, np.nan], dtype="c8"),
                "h": np.array([1, -0.0], dtype="f2"),
                "u": np.array([2**64 - 1, 0], dtype="u8"),
            }
        ),
        "RangeIndex": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(10, 14, 2, name="r")),
    }


def columns() -> dict[str, Any]:
    return {
        "named by a tuple": pd.Series([1, 2], name=("a", 1)),
        "empty": pd.Series(dtype=object),
        "categories": pd.Series(["a", "b"], dtype="category", index=[2, 1]),
    }


def indexes() -> dict[str, Any]:
    return {
        "numbers": pd.Index([1, 2], name="q"),
        "objects": pd.Index(["a"], dtype=object),
        "intervals": pd.interval_range(0, 3),
        "empty": pd.Index([]),
        "categories": pd.CategoricalIndex(["a"]),
    }


def polars_frames() -> dict[str, Any]:
    day = datetime.datetime(2026, 1, 2)
    return {
        "nothing": pl.DataFrame(),
        "no rows": pl.DataFrame({"a": pl.Series([], dtype=pl.Int8)}),
        "all kinds": pl.DataFrame(
            {
                "i": [1, None],
                "f": [float("nan"), None],
                "s": ["é", None],
                "c": pl.Series(["u", "v"], dtype=pl.Categorical),
                "e": pl.Series(["u", "v"], dtype=pl.Enum(["v", "u"])),
                "l": [[1], None],
                "r": [{"a": 1}, None],
                "n": [None, None],
                "d": [decimal.Decimal("1.2"), None],
                "t": pl.Series([day, None]).dt.replace_time_zone("Europe/Lisbon"),
                "x": [b"a", None],
            }
        ),
    }


def arrow_tables() -> dict[str, Any]:
    table = pa.table({"a": [1, None], "d": pa.array(["x", "y"]).dictionary_encode()})
    return {
        "table": table.replace_schema_metadata({"k": "v"}),
        "batch": table.to_batches()[0],
        "array": pa.array([1, None]),
        "chunks": pa.chunked_array([[1], [2]]),
        "no columns": pa.table({}),
        "no rows": table.slice(0, 0),
        "schema": table.schema,
    }


def images() -> dict[str, Any]:
    grey = Image.fromarray(np.arange(64, dtype="u1").reshape(8, 8) * 4)
    deep = Image.fromarray(np.arange(64, dtype="u2").reshape(8, 8) * 1000)
    return {
        "I;16": deep,
        **{mode: grey.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    }


def estimators() -> dict[str, Any]:
    rows = np.arange(80.0).reshape(40, 2) % 7
    labels = np.arange(40) % 2
    made = {
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
        "forest": RandomForestClassifier(n_estimators=3, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=3, random_state=0),
    }
    return {name: estimator.fit(rows, labels) for name, estimator in made.items()}


def vectorizers() -> dict[str, Any]:
    return {"words": TfidfVectorizer(stop_words="english").fit(["some words", "the words"])}


def nested() -> dict[str, Any]:
    return {"in a tree": {"x": [np.arange(3), (pd.DataFrame({"a": [1]}), None)]}}


def equal_arrays(left: Any, right: Any) -> bool:
    same = (left.dtype, left.shape, left.tolist().__repr__()) == (
        right.dtype, right.shape, right.tolist().__repr__(),
    )  # fmt: skip
    layout = not left.flags.contiguous or left.flags.f_contiguous == right.flags.f_contiguous
    return same and layout and right.flags.writeable


def equal_scalars(left: Any, right: Any) -> bool:
    texts = [len(each) for each in (left, right) if isinstance(each, str | bytes)]
    return (
        len(set(texts)) < 2
        and repr(left) == repr(right)
        and getattr(left, "dtype", 0) == getattr(right, "dtype", 0)
    )


def equal_frames(left: Any, right: Any) -> bool:
    for one, other in zip(left.items(), right.items(), strict=True):
        masks = [getattr(each[1].array, "_mask", None) for each in (one, other)]
        np.testing.assert_array_equal(*masks)
    pd.testing.assert_frame_equal(left, right, check_exact=True, check_freq=True)
    types = [[type(cell) for cell in left[name]] for name in left if left[name].ndim == 1]
    assert left.columns.equals(right.columns)
    assert type(left.columns) is type(right.columns)
    return types == [
        [type(cell) for cell in right[name]] for name in right if right[name].ndim == 1
    ]


def equal_columns(left: Any, right: Any) -> bool:
    pd.testing.assert_series_equal(left, right, check_exact=True)
    return bool(left.name == right.name)


def equal_indexes(left: Any, right: Any) -> bool:
    pd.testing.assert_index_equal(left, right, exact=True)
    return bool(left.dtype == right.dtype)


def equal_polars(left: Any, right: Any) -> bool:
    assert_polars(left, right, check_exact=True)
    return left.schema == right.schema


def equal_arrow(left: Any, right: Any) -> bool:
    return bool(left.equals(right)) and getattr(left, "schema", 0) == getattr(right, "schema", 0)


def equal_images(left: Any, right: Any) -> bool:
    return (left.mode, left.size, left.tobytes()) == (right.mode, right.size, right.tobytes())


def equal_estimators(left: Any, right: Any) -> bool:
    rows = np.arange(20.0).reshape(10, 2)
    return bool(np.array_equal(left.predict_proba(rows), right.predict_proba(rows)))


def equal_vectorizers(left: Any, right: Any) -> bool:
    words = ["words", "some other words"]
    return bool((left.transform(words) != right.transform(words)).nnz == 0)


def equal_text(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)


FAMILIES: dict[str, tuple[str, Callable[[], dict[str, Any]], Callable[[Any, Any], bool]]] = {
    "NumPy array": ("npy", arrays, equal_arrays),
    "scalar": ("json", scalars, equal_scalars),
    "pandas frame": ("parquet", frames, equal_frames),
    "pandas series": ("parquet", columns, equal_columns),
    "pandas index": ("parquet", indexes, equal_indexes),
    "polars frame": ("arrow", polars_frames, equal_polars),
    "Arrow": ("arrow", arrow_tables, equal_arrow),
    "image": ("png", images, equal_images),
    "estimator": ("skops", estimators, equal_estimators),
    "vectorizer": ("skops", vectorizers, equal_vectorizers),
    "nested": ("json", nested, equal_text),
}
OTHER_FORMATS = {"objects that are text": "npy-strings", "strings of NumPy 2": "npy-strings"}


def print_digests(store: str) -> None:
    """Print the digest of every value, to compare processes."""
    from levada import values
    from levada.store import open_store

    opened = open_store(store)
    for family, (_, make, _) in FAMILIES.items():
        for name, value in make().items():
            print(family, name, values.digest(values.encode(value, opened)))
