"""A pipeline whose tasks lead to their records."""

from levada import pipeline, step


@step
def load(path: str) -> int:
    return len(path)


@step
def train(size: int, depth: int) -> int:
    if depth < 0:
        raise ValueError(depth)
    return size * depth


@pipeline
def linked(path: str = "ab", depths: list[int] = [1, -1]):
    size = load(path)
    return [train(size, depth) for depth in depths]
