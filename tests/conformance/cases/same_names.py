"""A step that is called in a pipeline and in another one that it calls, on both sides of a branch."""

from levada import pipeline, step


@step
def add(x: int, y: int) -> int:
    return x + y


@pipeline
def part(x: int, y: int):
    z = add(x, y)
    if z > 2:
        z = add(z, 1)
    else:
        z = add(y, y)
    return z


@pipeline
def same_names(n: int = 2):
    a = add(n, 0)
    b = part(1, a)
    return add(a, b), b
