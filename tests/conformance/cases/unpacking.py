"""Tuples taken apart, also within a fan-out, and containers put together from outputs."""

from levada import pipeline, step


@step
def pair(value: int) -> tuple[int, str]:
    return value, str(value)


@step
def nested(value: int) -> tuple[int, tuple[int, int]]:
    return value, (value + 1, value + 2)


@step
def show(things: dict, rest: tuple) -> str:
    return f"{things} {rest}"


@pipeline
def unpacking(values: list[int] = [5, 6]):
    first, text = pair(1)
    a, (b, c) = nested(first)
    numbers = []
    names = []
    for value in values:
        number, name = pair(value)
        numbers.append(number)
        names.append(name)
    shown = show({"first": first, "text": text, "all": numbers}, (a, b, c))
    return shown, numbers, names
