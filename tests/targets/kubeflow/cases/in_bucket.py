"""Steps whose store is in a bucket: no claim, and a program gets nothing that reaches it."""

from pathlib import Path

from levada import container, pipeline, step

count = container(
    "registry.example.com/tools/count:1.2",
    command=["sh", "-c"],
    args=["wc -l < /levada/in/rows > /levada/out/lines"],
    inputs={"rows": Path},
    outputs={"lines": int},
    secrets={"TOKEN": "scores/token"},
)


@step
def load(day: str) -> Path:
    return Path(day)


@step(secrets={"TOKEN": "churn/token"})
def train(lines: int) -> float:
    return lines / 2


@pipeline
def in_bucket(day: str = "2026-01-01"):
    return train(count(rows=load(day)))
