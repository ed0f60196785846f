"""A step that returns 27 MB of numbers: as eight named outputs, or as one list."""

from typing import NamedTuple

from levada import pipeline, step

NUMBERS = 180_000


def numbers(first: int) -> list[int]:
    return list(range(first, first + NUMBERS * 1_000_003, 1_000_003))


class Eight(NamedTuple):
    a: list
    b: list
    c: list
    d: list
    e: list
    f: list
    g: list
    h: list


@step(cache=False)
def as_outputs() -> Eight:
    return Eight(*[numbers(10**14 + name) for name in range(8)])


@step(cache=False)
def as_one_list() -> list:
    return [numbers(10**14 + name) for name in range(8)]


@pipeline
def eight():
    as_outputs()


@pipeline
def one():
    as_one_list()
