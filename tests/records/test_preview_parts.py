"""Previews in words, rows and lines, whatever is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada import values
from levada.previews import Previews
from levada.store import open_store
from levada_records.preview_parts import preview_parts
from levada_records.previews import read_preview


def test_a_frame_that_was_stored(tmp_path: Path) -> None:
    """By the preview that the materializer itself makes."""
    store = open_store(str(tmp_path / "store"))
    previews = Previews(store)
    frame = pd.DataFrame({"age": [31, None, 5], "name": ["<b>", "b", "c"]})
    artifact = values.save(frame, store, previews=previews)
    preview = read_preview(store, artifact)
    assert preview is not None
    parts = preview_parts(preview)
    assert parts.words == "3 rows of 2 columns"
    assert parts.head[-2:] == ["age", "name"]
    assert [row[-1] for row in parts.rows] == ["<b>", "b", "c"]


@pytest.mark.parametrize(
    ("preview", "words", "text"),
    [
        (
            {
                "kind": "array",
                "shape": [2, 3],
                "dtype": "int64",
                "min": 0,
                "max": 5.5,
                "nan": 1,
                "histogram": {"edges": [0, 1, 2], "counts": [1, 4]},
            },
            "int64 of 2 x 3, from 0 to 5.5, 1 are NaN",
            "histogram ▁█",
        ),
        ({"kind": "text", "text": "Grüße", "size": 7}, "a text of 7 bytes", "Grüße"),
        ({"kind": "bytes", "start": "00ff", "size": 9000}, "9,000 bytes", "00ff"),
        ({"kind": "json", "value": [1]}, "", "[\n  1\n]"),
        ({"kind": "vega", "spec": {}}, "a chart of vega", ""),
        ({"kind": "other", "schema": "x", "a": 1}, "other", '{\n  "a": 1\n}'),
        ({"kind": "image", "width": 4, "height": 5, "png": 5}, "an image of 4 x 5 pixels", ""),
    ],
)
def test_kinds_of_previews(preview: dict[str, Any], words: str, text: str) -> None:
    parts = preview_parts(preview)
    assert (parts.words, parts.text, parts.png) == (words, text, "")


def test_a_model() -> None:
    preview = {"kind": "model", "class": "Ridge", "parameters": {"alpha": 0.5}, "weights": 1000}
    parts = preview_parts(preview)
    assert (parts.words, parts.rows) == ("Ridge, 1,000 weights", [["alpha", "0.5"]])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=3), each, max_size=4)
    ),
    max_leaves=10,
)
NAMES = (
    *(
        "rows",
        "columns",
        "columns_total",
        "head",
        "index",
        "shape",
        "dtype",
        "values",
        "min",
        "max",
    ),
    *("nan", "histogram", "width", "height", "png", "text", "size", "start", "value", "class"),
    *("parameters", "fitted", "tensors", "files", "names", "spec"),
)
KINDS = ("table", "array", "image", "text", "bytes", "json", "model", "folder", "plotly", "x")


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_preview_has_parts(kind: str, fields: dict[str, Any]) -> None:
    parts = preview_parts({"kind": kind, **fields})
    assert all(isinstance(cell, str) for row in [parts.head, *parts.rows] for cell in row)
    assert isinstance(parts.words + parts.text + parts.png, str)
