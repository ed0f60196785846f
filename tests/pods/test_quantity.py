"""Quantities are what Kubernetes takes them for."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada_backends.pods.quantity import LARGEST, Quantity, QuantityError, parse

#: text, exact value, canonical form as an API server gives it back
CASES = [
    ("0", Fraction(0), "0"),
    ("1", Fraction(1), "1"),
    ("1000m", Fraction(1), "1"),
    ("0.5", Fraction(1, 2), "500m"),
    (".5", Fraction(1, 2), "500m"),
    ("5.", Fraction(5), "5"),
    ("1500m", Fraction(3, 2), "1500m"),
    ("4Gi", Fraction(4 * 2**30), "4Gi"),
    ("4096Mi", Fraction(4 * 2**30), "4Gi"),
    ("1.5Gi", Fraction(3 * 2**29), "1536Mi"),
    ("0.5Ki", Fraction(512), "512"),
    ("0.0001Ki", Fraction(1024, 10000), "102400u"),
    ("1.1Ki", Fraction(11264, 10), "1126400m"),
    ("4G", Fraction(4 * 10**9), "4G"),
    ("4000M", Fraction(4 * 10**9), "4G"),
    ("1e3", Fraction(1000), "1e3"),
    ("1E3", Fraction(1000), "1e3"),
    ("1e-3", Fraction(1, 1000), "1e-3"),
    ("12e2", Fraction(1200), "1200"),
    ("1E", Fraction(10**18), "1E"),
    ("1Ei", Fraction(2**60), "1Ei"),
    ("1000n", Fraction(1, 10**6), "1u"),
    ("0.1n", Fraction(1, 10**9), "1n"),
    ("100E", LARGEST, "9223372036854775807"),
    ("+3", Fraction(3), "3"),
    ("-3", Fraction(-3), "-3"),
    ("007", Fraction(7), "7"),
]


@pytest.mark.parametrize(("text", "value", "canonical"), CASES)
def test_text(text: str, value: Fraction, canonical: str) -> None:
    found = parse(text)
    assert (found.value, str(found)) == (value, canonical)


@pytest.mark.parametrize(
    "text",
    [
        *("", " 1", "1 ", "4gb", "4 Gi", "Gi", ".", "1.2.3", "1K", "1ki", "--1", "1e", "e3"),
        *("1e3k", "0x10", "1_000", "½", "٣", "1mi", "nan", "inf", "1\n"),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(QuantityError):
        parse(text)


@pytest.mark.parametrize(
    ("number", "canonical"),
    [(2, "2"), (0.5, "500m"), (0.1, "100m"), (2.0, "2"), (1e-05, "10u"), (1.5e9, "1500M")],
)
def test_a_number_is_what_it_looks_like(number: float, canonical: str) -> None:
    assert str(parse(number)) == canonical


NUMBERS = st.from_regex(r"[+-]?([0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12})", fullmatch=True)
SUFFIXES = st.sampled_from(
    [*"numkMGTPE", "", *(f"{unit}i" for unit in "KMGTPE"), "e3", "E-2", "e+12", "e-30", "e99"]
)


@given(NUMBERS, SUFFIXES)
def test_the_canonical_form_is_the_same_amount(number: str, suffix: str) -> None:
    found = parse(number + suffix)
    again = parse(str(found))
    assert again.value == found.value
    assert str(again) == str(found)


@given(st.floats(min_value=0, max_value=1e15))
def test_a_number_is_kept_to_the_billionth(number: float) -> None:
    difference = parse(number).value - Fraction(repr(number))
    assert 0 <= difference < Fraction(1, 10**9)


def test_the_canonical_form_of_a_value() -> None:
    assert str(Quantity(Fraction(2**31), "binary")) == "2Gi"
