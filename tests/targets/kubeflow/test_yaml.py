"""What is written as YAML is read as what it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from levada_backends.block_yaml import Key, dump

HARD = (
    *("", " ", "null", "~", "True", "no", "On", "1", "1e3", "1_000", "0x1f", "0o7", ".5", "1:20"),
    *("2024-01-01", "=", "<<", "-", "- a", "? a", ": a", "a: b", "a:", "a #b", "#a", "&a", "*a"),
    *("!a", "%a", "@a", "`a`", "{a}", "[a]", "{{$}}", "'", '"', "\\", "a'b", "|", ">", "--- a"),
    *("---", "...", "a\nb", "a\n", "a\n\nb\n\n", "\na", " a\nb", "a \nb", "\t", "a\tb", "a\r\nb"),
    *("\x00", "\x85", "\u2028", "\ufeff", "🎈", "é", "--flag=a b", "-x", ".inf", ".NaN", "nan"),
)
texts = st.one_of(st.sampled_from(HARD), st.text(), st.text(st.sampled_from(" :#-'\"\n{}a")))
texts = texts.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
)


@given(st.dictionaries(texts, values, min_size=1, max_size=4))
def test_it_is_read_as_it_was(content: dict[str, Any]) -> None:
    assert same(yaml.safe_load(dump(content)), content)


@given(texts, values)
def test_a_comment_changes_nothing(said: str, value: Any) -> None:
    assert same(yaml.safe_load(dump({Key("key", said): value})), {"key": value})


@pytest.mark.parametrize("text", HARD)
def test_each_of_the_hard_ones(text: str) -> None:
    assert yaml.safe_load(dump({"key": text, text: [text]})) == {"key": text, text: [text]}


@pytest.mark.parametrize("length", [999, 1000, 1001, 1100])
def test_a_long_key(length: int) -> None:
    """Readers look for its colon within 1,024 characters."""
    key = "k" * length
    for value in ("a", "a\nb", [1], {"x": [{}]}, {}):
        content = {key: value, "list": [{key: value, "b": 1}], "next": key}
        assert yaml.safe_load(dump(content)) == content


def same(one: Any, other: Any) -> bool:
    """Equality in which 1 is neither true nor 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
