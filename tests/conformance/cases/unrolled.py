"""Loops over constants are unrolled, with values carried from one turn to the next."""

from levada import pipeline, step

SIZES = (1, 2, 3)
PAIRS = {"a": 1, "b": 2}


@step
def add(total: int, value: int) -> int:
    return total + value


@step
def show(name: str, value: int) -> str:
    return f"{name}={value}"


@step
def gather(texts: list[str], total: int) -> str:
    return f"{' '.join(texts)} {total}"


@pipeline
def unrolled(first: int = 0):
    total = first
    for size in SIZES:
        total = add(total, size)
    texts = [show(name, place) for place, name in enumerate(["x", "y"])]
    for name, size in zip(["p", "q"], range(5, 9, 2)):
        if size > 5:
            texts.append(show(name, size))
    return gather(texts, total), [show(n, 0) for n in ["k", "l"] if n != "k"]
