"""A `finally` of items whose body was entered, and cut off by a failure elsewhere."""

from levada import pipeline, step


@step
def even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


@step
def open_it(value: int) -> int:
    return value


@step
def use(value: int, other: int) -> int:
    return value + other


@step
def close(value: int) -> int:
    return value


@step
def total(values: list[int]) -> int:
    return sum(values)


@pipeline
def cut_off_in_fan_out(other: int = 0, values: list[int] = [1, 2]):
    needed = even(other)
    out = []
    for value in values:
        try:
            opened = open_it(value)
            used = use(opened, needed)
        finally:
            close(value)
        out.append(used)
    return total(out)
