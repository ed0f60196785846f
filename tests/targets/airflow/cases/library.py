"""A DAG whose operators are in a module beside it."""

from levada import pipeline, step


@step
def load(path: str) -> list[int]:
    return [len(path)]


@step
def train(rows: list[int], depth: int) -> float:
    if depth < 0:
        raise ValueError(depth)
    return float(len(rows) + depth)


@step
def publish(losses: list[float]) -> str:
    return f"{min(losses)}"


@step
def tell(about: str) -> str:
    return about


@pipeline(on_failure="alerts:tell_all")
def library(path: str = "ab", depths: list[int] = [1, 2]) -> str:
    """Trains, and tells of a failure."""
    rows = load(path)
    try:
        losses = [train(rows, depth) for depth in depths]
        found = publish(losses)
    except Exception:
        found = tell("nothing to publish")
    return found
