"""A condition that raises is a failure like any other, and can be caught."""

from levada import pipeline, step


@step
def maybe(value: int) -> int | None:
    return value or None


@step
def big(value: int | None) -> str:
    return f"big {value}"


@step
def small(value: int | None) -> str:
    return f"small {value}"


@step
def unknown() -> str:
    return "unknown"


@pipeline
def failing_condition(value: int = 0):
    found = maybe(value)
    try:
        if found > 10:
            text = big(found)
        else:
            text = small(found)
    except Exception:
        text = unknown()
    return text
