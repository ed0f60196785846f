"""Calls in a row: positional, by keyword, with a step's own default."""

from levada import pipeline, step


@step
def start(value: int) -> int:
    return value + 1


@step
def scale(value: int, factor: int = 10, offset: int = 0) -> int:
    return value * factor + offset


@step
def join(left: int, right: int, *, separator: str = "-") -> str:
    return f"{left}{separator}{right}"


@pipeline
def sequence(value: int = 4):
    first = start(value)
    second = scale(first)
    third = scale(offset=3, value=second, factor=2)
    return join(second, third, separator=":")
