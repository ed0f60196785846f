"""Sub-pipelines: their named outputs, their returns, loops and failures."""

from typing import NamedTuple

from levada import pipeline, step


class Range(NamedTuple):
    low: int
    high: int


@step
def num(x: int) -> int:
    return x


@step
def fail(x: int) -> int:
    if x > 1:
        raise ValueError(f"{x} is large")
    return x


@step(cache=False)
def note(x: object) -> None:
    return None


def doubled(x):
    return 2 * x


@pipeline
def limits(n: int) -> Range:
    return Range(num(n), high=num(n + 1))


@pipeline
def both(n: int):
    return {"low": num(n), "high": n + 1}


@pipeline
def early(n: int):
    if n > 2:
        return num(n)
    note(n)
    return -1


@pipeline
def risky(n: int):
    return fail(n) + 1


@pipeline
def part_named(n: int):
    r = limits(n)
    return num(r.low + r.high)


@pipeline
def part_dict(n: int):
    r = both(n)
    return num(r["low"]), r["high"]


@pipeline
def part_unpacked(n: int):
    low, high = limits(n)
    return num(low), high


@pipeline
def part_early(n: int):
    return early(n), early(num(5))


@pipeline
def part_in_loop(xs: list[int]):
    return sum([early(x) for x in xs])


@pipeline
def part_in_try(n: int):
    try:
        found = risky(n)
    except ValueError as e:
        found = len(str(e))
    return num(found)


@pipeline
def part_in_finally(n: int):
    try:
        fail(n)
    finally:
        note(early(num(n)))


@pipeline
def part_function(n: int):
    return num(doubled(num(n)))
