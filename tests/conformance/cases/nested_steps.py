"""Steps that pipelines declare in their bodies: two of one name, with defaults and decorators."""

import functools
from collections.abc import Callable

from levada import Retry, pipeline, step

FACTOR = 3


def doubled(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def call(*args: int, **named: int) -> int:
        return 2 * function(*args, **named)

    return call


def scaled(x: int) -> int:
    return x * FACTOR


@pipeline
def part(x: int = 1):
    @step
    def add(x: int, y: int = FACTOR) -> int:
        return scaled(x) + y

    return add(x)


@pipeline
def nested_steps(n: int = 2):
    @step(retry=Retry(2))
    @doubled
    def add(x: int) -> int:
        return x + 1

    @step
    def total(xs: list[int]) -> int:
        return sum(xs)

    first = add(n)
    return total([add(k) for k in range(n)]), part(first)
