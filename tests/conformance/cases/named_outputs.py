"""Outputs by name: NamedTuple, dataclass, tuple, Annotated."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from levada import pipeline, step


class Split(NamedTuple):
    left: list[int]
    right: list[int]


@dataclass
class Summary:
    count: int
    mean: float


@step
def split(numbers: list[int], at: int) -> Split:
    return Split(numbers[:at], numbers[at:])


@step
def summarize(numbers: list[int]) -> Summary:
    return Summary(len(numbers), sum(numbers) / max(len(numbers), 1))


@step
def extremes(numbers: list[int]) -> tuple[int, int]:
    return min(numbers), max(numbers)


@step
def label(
    count: int, low: int, high: int
) -> tuple[Annotated[str, "title"], Annotated[int, "width"]]:
    return f"{count} from {low} to {high}", high - low


@step
def whole(parts: Split, summary: Summary) -> list:
    return [parts.left, parts.right, summary.count, summary.mean]


@pipeline
def named_outputs(numbers: list[int] = [3, 1, 2], at: int = 2):
    parts = split(numbers, at)
    summary = summarize(parts.left)
    low, high = extremes(parts.left)
    text, width = label(summary.count, low, high)
    everything = whole(parts, summary)
    return text, width, everything, parts.right, summary.mean
