"""A branch in a guard: only the side that ran can fail."""

from levada import pipeline, step


@step
def look(value: int) -> int:
    return value


@step
def strict(value: int) -> str:
    if value > 100:
        raise ValueError("too large")
    return f"strict {value}"


@step
def lenient(value: int) -> str:
    return f"lenient {value}"


@step
def recover(value: int) -> str:
    return f"recovered {value}"


@step
def audit(value: int) -> int:
    return value


@step
def finish(text: str) -> str:
    return text + "."


@pipeline
def branch_in_try(value: int = 50):
    try:
        seen = look(value)
        if seen > 10:
            text = strict(seen)
        else:
            text = lenient(seen)
    except Exception:
        text = recover(value)
    finally:
        audit(value)
    return finish(text)
