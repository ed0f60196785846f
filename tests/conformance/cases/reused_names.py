"""One name assigned again and again; one step called again and again."""

from levada import pipeline, step


@step
def grow(x: int, by: int = 1) -> int:
    return x + by


@pipeline
def reused_names(x: int = 0):
    x = grow(x)
    x = grow(x, by=10)
    y = x
    x = grow(grow(x), 100)
    if y > 10:
        y = grow(y)
        x = grow(x, y)
    return x, y
