"""Names are what Kubernetes takes, and two of them are never the same by accident."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from levada_backends.pods import names

IDENTIFIERS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,80}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("churn", "churn"),
        ("churn_model", "churn-model"),
        ("a-b", "a-b"),
        ("Churn", r"churn-[0-9a-f]{8}"),
        ("_private", r"private-[0-9a-f]{8}"),
        ("naïve", r"na-ve-[0-9a-f]{8}"),
        ("a" * 64, r"a{54}-[0-9a-f]{8}"),
        ("鉄", r"x-[0-9a-f]{8}"),
    ],
)
def test_label(text: str, expected: str) -> None:
    assert re.fullmatch(expected, names.label(text))


@given(st.text(), st.integers(min_value=12, max_value=63))
def test_any_text_has_a_name(text: str, length: int) -> None:
    assert names.label_problem(names.label(text, length), length) == ""
    assert names.value_problem(names.label_value(text)) == ""


@given(IDENTIFIERS, IDENTIFIERS, st.sampled_from([20, 52, 63]))
def test_two_identifiers_have_two_names(one: str, other: str, length: int) -> None:
    assume(one != other)
    assert names.label(one, length) != names.label(other, length)


@pytest.mark.parametrize("text", ["a", "a-1", "0", "a" * 63])
def test_labels(text: str) -> None:
    assert names.label_problem(text) == ""


@pytest.mark.parametrize("text", ["", "A", "-a", "a-", "a.b", "a_b", "a" * 64, "a\n", "é"])
def test_no_labels(text: str) -> None:
    assert names.label_problem(text) != ""


@pytest.mark.parametrize("text", ["a.b", "a-b.c", "a" * 253])
def test_subdomains(text: str) -> None:
    assert names.subdomain_problem(text) == ""


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a.-b", "A.b", "a" * 254])
def test_no_subdomains(text: str) -> None:
    assert names.subdomain_problem(text) != ""


@pytest.mark.parametrize("text", ["a", "nvidia.com/gpu", "A_b.c-d", "x/" + "a" * 63])
def test_keys(text: str) -> None:
    assert names.key_problem(text) == ""


@pytest.mark.parametrize("text", ["", "/a", "a/", "a/b/c", "N.com/a", "-a", "a" * 64, "a b"])
def test_no_keys(text: str) -> None:
    assert names.key_problem(text) != ""


@pytest.mark.parametrize("text", ["", "a", "A_b.c-d"])
def test_values(text: str) -> None:
    assert names.value_problem(text) == ""


@pytest.mark.parametrize("text", ["-", "a/b", "a ", "a" * 64])
def test_no_values(text: str) -> None:
    assert names.value_problem(text) != ""


@pytest.mark.parametrize("text", ["", "1A", "A B", "A=B", "..a", ".", "é"])
def test_no_variables(text: str) -> None:
    assert names.variable_problem(text) != ""


@pytest.mark.parametrize("text", ["", "a/b", "..", "..a", ".", "a" * 254])
def test_no_keys_of_a_secret(text: str) -> None:
    assert names.config_key_problem(text) != ""
