"""What the emitter writes is what every YAML reader reads."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from levada_backends import block_yaml

TEXT = st.text(st.characters(codec="utf-8")) | st.text("-:#{}[],&*!|>'\"%@` \n\ta1ny.~=?\\")
SCALARS = st.none() | st.booleans() | st.integers() | TEXT
SCALARS |= st.sampled_from(
    ["yes", "No", "on", "null", "~", "1e3", "0x1", "1:30", "2020-01-01", ".5"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@given(st.dictionaries(TEXT, VALUES, min_size=1))
def test_it_reads_back(value: dict[str, Any]) -> None:
    assert yaml.safe_load(block_yaml.dump(value)) == value


@given(st.lists(st.dictionaries(TEXT, VALUES, min_size=1), min_size=1, max_size=4))
def test_documents_read_back(values: list[dict[str, Any]]) -> None:
    assert list(yaml.safe_load_all(block_yaml.dump(*values))) == values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "b c"}, "a: b c\n"),
        ({"a": ["x", {"b": 1, "c": []}]}, "a:\n- x\n- b: 1\n  c: []\n"),
        ({"a": "one\ntwo\n"}, "a: |\n  one\n  two\n"),
        ({"a": "true", "b": True, "c": None}, 'a: "true"\nb: true\nc: null\n'),
        ({"a": "one\n\n  two\n"}, "a: |\n  one\n\n    two\n"),
        ({"a": [["x"], []]}, "a:\n-\n  - x\n- []\n"),
    ],
)
def test_it_looks_as_people_write_it(value: dict[str, Any], text: str) -> None:
    assert block_yaml.dump(value) == text
