"""Lists that a body and its `finally` append to, the one around a handler, the other in a loop."""

from levada import pipeline, step


@step
def work(value: int) -> int:
    if value == 3:
        raise ValueError("three")
    return value * 10


@step
def close(value: int) -> str:
    return f"closed {value}"


@pipeline
def append_in_finally(values: list[int] = [1, 2], last: int = 4):
    seen = []
    for value in values:
        try:
            seen.append(work(value))
        finally:
            seen.append(close(value))
    try:
        try:
            outcome = work(last)
        except Exception:
            outcome = close(0)
        seen.append(outcome)
        work(1)
    finally:
        seen.append("end")
        for value in values:
            seen.append(close(value + 1))
    return seen
