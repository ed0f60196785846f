"""Each iteration has a guard of its own."""

from levada import pipeline, step


@step
def risky(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


@step
def instead(value: int) -> int:
    return -value


@step
def total(values: list[int]) -> list[int]:
    return values


@pipeline
def try_in_fan_out(values: list[int] = [1, 2, 3]):
    out = []
    for value in values:
        try:
            got = risky(value)
        except Exception:
            got = instead(value)
        out.append(got)
    return total(out)
