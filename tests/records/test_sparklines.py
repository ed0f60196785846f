"""`levada_records.sparklines` draws the values of a metric in a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada_records.sparklines import ASCII, BLOCKS, sparkline


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([3.0], "▄"),
        ([1, 1, 1], "▄▄▄"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([0.1, 0.4, 0.2, 0.8], "▁▄▂█"),
        ([1, "NaN", 2, "Infinity"], "▁ █ "),
        (["NaN"], " "),
        ([1e308, -1e308], "█▁"),
        ([10**400, 1, 2], " ▁█"),
    ],
)
def test_values_and_their_line(values: list[float | str], line: str) -> None:
    assert sparkline(values) == line


def test_neighbours_are_averaged() -> None:
    assert sparkline([0, 0, 4, 4, 8, 8], width=3) == "▁▅█"
    assert len(sparkline(list(range(1000)), width=16)) == 16


def test_a_terminal_without_blocks() -> None:
    assert sparkline([1, 2, 3], marks=ASCII)[0] == ASCII[0]
    assert sparkline([1, 2, 3], marks=ASCII).isascii()


@given(st.lists(st.floats(allow_nan=False) | st.integers() | st.just("NaN")), st.integers(1, 40))
def test_any_values_have_a_line(values: list[float | str], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= {*BLOCKS, " "}
