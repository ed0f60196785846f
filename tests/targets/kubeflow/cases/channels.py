"""What is given by KFP's own outputs: through a merge, out of a sub-pipeline, into a loop."""

from typing import NamedTuple

import pandas as pd
from levada import pipeline, step


class Split(NamedTuple):
    train: pd.DataFrame
    rows: int


@step
def load(path: str) -> pd.DataFrame:
    return pd.DataFrame({"path": [path]})


@step
def split(data: pd.DataFrame) -> Split:
    return Split(data, len(data))


@step
def deep(data: pd.DataFrame) -> float:
    return 0.9


@step
def shallow(rows: int) -> float:
    return rows / 10


@step
def score(data: pd.DataFrame, auc: float, depth: int) -> float:
    return auc * depth


@step
def publish(auc: float, scores: list[float], data: pd.DataFrame) -> str:
    return f"{auc} {scores}"


@pipeline
def prepare(path: str):
    parts = split(load(path))
    return parts.train, parts.rows


@pipeline
def channels(path: str = "data.csv", depths: list[int] = [1, 2]):
    data, rows = prepare(path)
    if rows > 3:
        auc = deep(data)
    else:
        auc = shallow(rows)
    scores = [score(data, auc, depth) for depth in depths]
    return publish(auc, scores, data)
