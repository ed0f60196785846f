"""Draws the values of a metric in one line of text: ``▁▂▄▆█``."""

from __future__ import annotations

import math
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
#: For terminals that have no such characters.
ASCII = "_.-=+*#%"
#: Characters of a line.
WIDTH = 16


def sparkline(
    values: Sequence[float | str],
    width: int = WIDTH,
    marks: str = BLOCKS,
    bounds: tuple[float, float] | None = None,
) -> str:
    """Return a line of at most ``width`` characters, the lowest of ``marks`` for the least value.

    Of more values than that, neighbours are averaged. A place without a number is a space, as of
    ``"NaN"``; all values are in the middle if they are equal. With ``bounds``, the least and the
    greatest value of several lines, these can be compared with each other.

    >>> sparkline([0.1, 0.4, 0.2, 0.8])
    '▁▄▂█'
    """
    numbers = [_number(value) for value in values]
    means = [_mean(part) for part in _parts(numbers, width)]
    known = [mean for mean in means if mean is not None]
    if not known:
        return " " * len(means)
    least, most = bounds or (min(known), max(known))
    return "".join(" " if mean is None else _mark(mean, least, most, marks) for mean in means)


def _number(value: float | str) -> float | None:
    """A value as a number that can be drawn; None for one that is not finite."""
    if isinstance(value, str):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number that no float can hold
        return None
    return number if math.isfinite(number) else None


def _parts(numbers: list[float | None], width: int) -> list[list[float | None]]:
    count = min(len(numbers), width)
    edges = [len(numbers) * at // count for at in range(count + 1)] if count > 0 else [0]
    return [numbers[low:high] for low, high in pairwise(edges)]


def _mean(part: list[float | None]) -> float | None:
    known = [number for number in part if number is not None]
    # Each is divided first: the sum of two large numbers may be infinite.
    return math.fsum(number / len(known) for number in known) if known else None


def _mark(mean: float, least: float, most: float, marks: str) -> str:
    half_span = most / 2 - least / 2
    if half_span == 0:
        return marks[(len(marks) - 1) // 2]
    share = (mean / 2 - least / 2) / half_span
    return marks[min(int(share * len(marks)), len(marks) - 1)]
