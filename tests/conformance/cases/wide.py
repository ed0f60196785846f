"""A fan-out over more items than there are workers."""

from levada import pipeline, step


@step
def one(number: int) -> int:
    return number * number


@step
def total(values: list[int]) -> int:
    return sum(values)


@pipeline
def wide(count: int = 12):
    return total([one(number) for number in range(count)])
