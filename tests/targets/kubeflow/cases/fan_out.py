"""Fan-out and fan-in: two steps for each item, then one with all that they gave."""

from levada import pipeline, step


@step
def train(depth: int) -> float:
    """Train one model."""
    return depth / 10


@step
def measure(score: float, number: int) -> float:
    return score + number


@step
def best(scores: list[float]) -> float:
    return max(scores, default=0.0)


@pipeline
def fan_out(depths: list[int] = [2, 4]):
    scores = []
    for number, depth in enumerate(depths):
        scores.append(measure(train(depth), number))
    top = best(scores)
    return top
