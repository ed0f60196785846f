"""Data frames and arrays between steps, one a shard."""

import numpy as np
import pandas as pd
from levada import pipeline, step


@step
def load(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"city": ["ö", "b"] * rows, "value": np.arange(2 * rows, dtype="float64")})


@step
def part(data: pd.DataFrame, city: str) -> pd.DataFrame:
    return data[data.city == city].reset_index(drop=True)


@step
def vector(data: pd.DataFrame) -> np.ndarray:
    return data.value.to_numpy()


@step
def total(vectors: list[np.ndarray], parts: list[pd.DataFrame]) -> float:
    return float(sum(v.sum() for v in vectors) + sum(len(p) for p in parts))


@pipeline
def frames(rows: int = 3, cities: list[str] = ["ö", "b", "none"]):
    data = load(rows)
    parts = []
    vectors = []
    for city in cities:
        piece = part(data, city)
        parts.append(piece)
        vectors.append(vector(piece))
    return total(vectors, parts), data, vectors
