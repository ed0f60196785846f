"""A failure that nobody handles but that is caught, and one that only a skipped task would show."""

from levada import pipeline, step


@step
def risky(value: int) -> int:
    if value < 0:
        raise ValueError(value)
    return value


@step
def use(value: int) -> int:
    return value


@pipeline
def ignored(first: int = -1, second: int = 1, wanted: bool = False):
    try:
        use(risky(first))
    except Exception:
        pass
    later = risky(second)
    if wanted:
        use(later)
