"""Fan-ins that KFP collects, out of sub-pipelines and into one, and such as it cannot."""

import pandas as pd
from levada import pipeline, step


@step
def read(path: str) -> pd.DataFrame:
    return pd.DataFrame({"path": [path]})


@step
def score(data: pd.DataFrame) -> float:
    return float(len(data))


@step
def name(path: str) -> str:
    return path.upper()


@step
def merge(parts: list[pd.DataFrame], scores: list[float], names: list[str]) -> pd.DataFrame:
    return pd.concat(parts)


@step
def count(scores: list[float]) -> int:
    return len(scores)


@pipeline
def one(path: str):
    data = read(path)
    return data, score(data)


@pipeline
def joined(parts: list[pd.DataFrame], scores: list[float], names: list[str]):
    return merge(parts, scores, names)


@pipeline
def collected(paths: list[str] = ["a.csv", "b.csv"], least: float = 1.0):
    parts = []
    scores = []
    names = []
    good = []
    for path in paths:
        data, found = one(path)
        parts.append(data)
        scores.append(found)
        names.append(name(path))
        if found > least:  # not in each iteration: read from the store
            good.append(found)
    whole = merge(parts, scores, names)
    again = joined(parts, scores, names)
    try:
        tried = [score(part) for part in parts]  # a failure may cut it off: so is this
        total = count(tried)
    except Exception:
        total = count(good)
    return whole, again, total
