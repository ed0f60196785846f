"""Fan-out over a parameter, and the fan-in of what came out; an empty list is a list."""

from levada import pipeline, step


@step
def train(depth: int, rate: float) -> float:
    return depth * rate


@step
def best(scores: list[float]) -> float:
    return max(scores, default=-1.0)


@pipeline
def fan_out(depths: list[int] = [4, 8, 16], rate: float = 0.5):
    scores = [train(depth, rate) for depth in depths]
    return best(scores), scores
