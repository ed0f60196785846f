"""Steps with `*args`, `**options`, positional-only and keyword-only parameters."""

from levada import pipeline, step


@step
def one(value: int, /, *, plus: int = 0) -> int:
    return value + plus


@step
def many(*numbers: int, start: int = 0) -> int:
    return sum(numbers, start)


@step
def named(title: str, **options: object) -> str:
    return title + str(sorted(options.items()))


@pipeline
def variadic(value: int = 2):
    a = one(value)
    b = one(a, plus=5)
    c = many(a, b, value, start=100)
    d = many()
    return named("t", c=c, d=d, value=value)
