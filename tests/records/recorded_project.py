"""A project with runs of all sorts in its store, and copies of that store in buckets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from levada.store import Store, open_store
from levada.stores.transfer import copy

from tests.engine.project import Project

SOURCE = '''
import fractions
import tempfile
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from levada import log_artifact, log_params


@dataclass
class Model:
    """A model of the project, which only its own module can make again."""

    depth: int
    weights: list[float]


class Fit(NamedTuple):
    model: Model
    loss: float


@step
def load(rows: int) -> list[float]:
    print(f"loading {rows} rows")
    return [float(row) for row in range(rows)]


@step
def fit(points: list[float], rate: float, depth: int) -> Fit:
    for epoch in range(5):
        log_metric("loss", rate * depth / (epoch + 1), step=epoch)
    log_metric("rows", len(points))
    log_params(solver="exact")
    return Fit(Model(depth, [rate] * depth), rate * depth / 5)


@step
def best(fits: list[Fit]) -> Model:
    chosen = min(fits, key=lambda each: each.loss)
    log_artifact("chosen", chosen.loss)
    return chosen.model


@step
def report(model: Model, title: str) -> Path:
    folder = Path(tempfile.mkdtemp()) / "report"
    folder.mkdir()
    (folder / "index.txt").write_text(f"{title}: {model.depth}")
    (folder / "data.txt").write_text("1 2 3")
    return folder


@step
def dump(model: Model) -> bytes:
    return bytes(model.weights[0] > 0.05 for _ in range(9000))


@step
def table(points: list[float]) -> np.ndarray:
    return np.array(points)


@step
def letter(depth: int) -> str:
    return "Grüße,\\n" * depth


@step(allow_pickle=True)
def odd(depth: int) -> object:
    return fractions.Fraction if depth else None


@step(retry=Retry(count=1, delay=0))
def check(limit: int) -> int:
    print("checking")
    if limit < 0:
        raise ValueError(f"the limit is {limit}\\nand it must not be negative")
    return limit


@pipeline
def publish(model: Model, title: str) -> Path:
    return report(model, title)


@pipeline
def main(
    rows: int = 4, rates: list[float] = [0.1, 0.2], depth: int = 2, limit: int = 7
) -> tuple[int, Path]:
    points = load(rows)
    fits = [fit(points, rate, depth) for rate in rates]
    chosen = best(fits)
    page = publish(chosen, "churn")
    dump(chosen)
    table(points)
    letter(depth)
    odd(depth)
    if limit > 100:
        check(0)
    return check(limit), page
'''


@dataclass
class Recorded:
    """The runs of the project: one that succeeded, one whose results it took, one that failed."""

    project: Project
    store: Store
    good: str = "20260101-060000-aaaaaa"
    again: str = "20260102-060000-bbbbbb"
    bad: str = "20260103-060000-cccccc"


def record(folder: Path) -> Recorded:
    """Run the pipeline three times."""
    project = Project(folder, SOURCE)
    recorded = Recorded(project, open_store(project.store))
    for run_id in (recorded.good, recorded.again):
        outcome = project.run(run_id=run_id)
        assert outcome.status == "succeeded", outcome.error
    assert project.run({"limit": -1}, run_id=recorded.bad).status == "failed"
    return recorded


def copied(recorded: Recorded, url: str) -> Recorded:
    """Return the same runs in another store."""
    store = open_store(url)
    assert copy(recorded.store, store, lambda *_: None) == []
    return Recorded(recorded.project, store)
