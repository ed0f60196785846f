"""Accumulators: several appends an iteration, some under a condition, before and after a loop."""

from levada import pipeline, step


@step
def double(value: int) -> int:
    return value * 2


@step
def square(value: int) -> int:
    return value * value


@step
def collect(values: list[int]) -> str:
    return ",".join(map(str, values))


@pipeline
def accumulators(values: list[int] = [1, 2, 3], last: int = 9):
    out = []
    out.append(double(last))
    for value in values:
        out.append(double(value))
        squared = square(value)
        if squared > 3:
            out.append(squared)
    out.append(square(last))
    return collect(out)
