"""A guard on one side of a branch; the other side skips all of it, its `finally` too."""

from levada import pipeline, step


@step
def size(value: int) -> int:
    return value


@step
def load(value: int) -> str:
    if value > 5:
        raise MemoryError("too much")
    return f"loaded {value}"


@step
def sample(value: int) -> str:
    return f"sampled {value}"


@step
def close(value: int) -> int:
    return value


@step
def skip(value: int) -> str:
    return f"skipped {value}"


@step
def done(text: str) -> str:
    return text


@pipeline
def try_in_branch(value: int = 9, wanted: bool = True):
    found = size(value)
    if wanted and found > 0:
        try:
            text = load(found)
        except Exception:
            text = sample(found)
        finally:
            close(found)
    else:
        text = skip(found)
    return done(text)
