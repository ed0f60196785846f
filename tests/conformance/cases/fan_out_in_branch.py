"""A fan-out on one side of a branch only."""

from levada import pipeline, step


@step
def size() -> int:
    return 3


@step
def work(number: int) -> int:
    return number + 100


@step
def shortcut(number: int) -> list[int]:
    return [number]


@step
def total(values: list[int]) -> int:
    return sum(values)


@pipeline
def fan_out_in_branch(parallel: bool = True, numbers: list[int] = [1, 2]):
    found = size()
    if parallel and found > 2:
        values = [work(number) for number in numbers]
    else:
        values = shortcut(found)
    return total(values)
