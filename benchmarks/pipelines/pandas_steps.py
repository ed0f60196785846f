"""Ten steps in a chain, each of which needs pandas for a moment."""

import pandas as pd
from levada import pipeline, step


@step
def add_one(x: int) -> int:
    return int(pd.Series([x, 1]).sum())


@pipeline
def pandas_steps(x: int = 0):
    for _ in range(10):
        x = add_one(x)
    return x
