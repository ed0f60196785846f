"""The shape of a training pipeline: fan-out, pick, branch, all within `try … finally`."""

from typing import NamedTuple

from levada import pipeline, step


class Report(NamedTuple):
    model: dict
    auc: float


@step
def load(path: str) -> list[int]:
    return [len(path)] * 3


@step
def train(data: list[int], depth: int) -> Report:
    if depth < 0:
        raise ValueError("depth")
    return Report({"depth": depth, "seen": len(data)}, 1 - 1 / (depth + 1))


@step
def pick(reports: list[Report]) -> Report:
    return max(reports, key=lambda report: report.auc)


@step
def deploy(model: dict) -> str:
    return f"deployed {model['depth']}"


@step
def notify(text: str) -> str:
    return text


@step
def clean_up(path: str) -> str:
    return f"removed {path}"


@pipeline
def churn_shape(path: str = "data.csv", depths: list[int] = [4, 16], least: float = 0.9):
    data = load(path)
    try:
        reports = [train(data, depth) for depth in depths]
        best = pick(reports)
        if best.auc > least:
            outcome = deploy(best.model)
        else:
            outcome = notify(f"auc {best.auc} is too low")
    finally:
        clean_up(path)
    return outcome, best.auc
