"""Filters of comprehensions, over parameters and over what a step returned."""

from levada import pipeline, step


@step
def numbers(size: int) -> list[int]:
    return list(range(size))


@step
def keep(value: int) -> int:
    return value * 10


@step
def total(values: list[int]) -> int:
    return sum(values)


@pipeline
def filters(size: int = 5, least: int = 2, wanted: list[int] = [1, 5, 9]):
    found = numbers(size)
    kept = [keep(value) for value in found if value >= least if value != 3]
    odd = [keep(value) for value in wanted if value > 1 and value in (5, 9)]
    none = [keep(value) for value in wanted if value > 1000]
    return total(kept), total(odd), none
