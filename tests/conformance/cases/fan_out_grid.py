"""A grid: nested comprehensions over two parameters, nested and flat."""

from levada import pipeline, step


@step
def fit(depth: int, rate: float) -> float:
    return depth * rate


@step
def rows(table: list[list[float]]) -> list[float]:
    return [sum(row) for row in table]


@step
def most(scores: list[float]) -> float:
    return max(scores)


@pipeline
def fan_out_grid(depths: list[int] = [1, 2], rates: list[float] = [0.5, 1.5]):
    table = [[fit(depth, rate) for rate in rates] for depth in depths]
    flat = [fit(depth, rate) for depth in depths for rate in rates if rate > 1]
    return rows(table), most(flat)
