"""Two steps share an input and meet again."""

from levada import pipeline, step


@step
def load(size: int) -> list[int]:
    return list(range(size))


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@step
def largest(numbers: list[int]) -> int | None:
    return max(numbers, default=None)


@step
def report(total: int, largest: int | None) -> dict:
    return {"total": total, "largest": largest}


@pipeline
def diamond(size: int = 5):
    numbers = load(size)
    added = total(numbers)
    top = largest(numbers)
    return report(added, top)
