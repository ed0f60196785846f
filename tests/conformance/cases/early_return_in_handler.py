"""A list that is filled in a `try`, and a handler that returns instead of it."""

from levada import pipeline, step


@step
def quotient(value: int, by: int) -> int:
    if by == 0:
        raise ValueError("nothing to divide by")
    return value // by


@pipeline
def early_return_in_handler(values: list[int] = [2, 4], by: int = 2):
    out = []
    try:
        for value in values:
            out.append(quotient(value, by))
    except ValueError:
        return []
    return out
