"""An uncaught failure: what depends on it does not run, and there are no outputs."""

from levada import pipeline, step


@step
def first(value: int) -> int:
    return value


@step
def broken(value: int) -> int:
    raise KeyError(f"value {value}")


@step
def later(value: int) -> int:
    return value


@pipeline
def failure(value: int = 3):
    a = first(value)
    b = broken(a)
    return later(b)
