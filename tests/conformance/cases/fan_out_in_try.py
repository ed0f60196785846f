"""One failing iteration sends the whole guard to its handler."""

from levada import pipeline, step


@step
def risky(value: int) -> int:
    if value < 0:
        raise ValueError("negative")
    return value


@step
def total(values: list[int]) -> int:
    return sum(values)


@step
def instead(count: int) -> int:
    return count * 1000


@step
def finish(value: int) -> int:
    return value + 1


@pipeline
def fan_out_in_try(values: list[int] = [1, 2], count: int = 2):
    try:
        got = [risky(value) for value in values]
        result = total(got)
    except Exception:
        result = instead(count)
    return finish(result)
