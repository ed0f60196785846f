"""Items by a variable, the best of reports that hold an object, and returns among several cases."""

from dataclasses import dataclass
from typing import NamedTuple

from levada import pipeline, step


@dataclass
class Weights:
    values: list[int]


class Report(NamedTuple):
    weights: Weights
    auc: float


@step
def table(size: int) -> dict[str, int]:
    return {"a": size, "b": 2 * size}


@step
def train(depth: int) -> Report:
    return Report(Weights([depth] * 3), depth / 10)


@step
def total(weights: Weights) -> int:
    return sum(weights.values)


@step
def same(value: object) -> object:
    return value


@pipeline
def lookups(keys: list[str] = ["b", "a"], depths: list[int] = [1, 3, 2], size: int = 2):
    if size > 2:
        factor = same(3)
    elif size > 1:
        factor = same(2)
    else:
        return None
    numbers = table(size)
    more = {key: number + 1 for key, number in numbers.items()}
    items = [same(numbers[key]) for key in keys]
    others = []
    for key in keys:
        others.append(same(more[key] * factor))
    reports = {depth: train(depth) for depth in depths}
    best = max(reports.values(), key=lambda report: report.auc)
    order = sorted(reports, key=lambda depth: reports[depth].auc)
    return items, others, total(best.weights), order, max(more, key=more.get)
