"""A guard within the guard of an item, below what may have failed already."""

from levada import pipeline, step


@step
def even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


@step
def small(value: int) -> int:
    if value > 9:
        raise ValueError(f"{value} is not small")
    return value


@step
def note(text: str) -> str:
    return text


@step
def negative(value: int) -> int:
    return -value


@step
def total(values: list[int]) -> list[int]:
    return values


@pipeline
def guard_in_guarded_item(values: list[int] = [2, 3, 12]):
    out = []
    for value in values:
        try:
            if value > 1:
                first = even(value)
                try:
                    second = small(first)
                finally:
                    note(f"entered {value}")
            else:
                second = small(value)
            last = negative(second)
        except Exception:
            last = small(1)
        out.append(last)
    return total(out)
