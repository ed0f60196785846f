"""Steps by each executor whose store is in a bucket; programs get nothing that reaches it."""

from pathlib import Path

from levada import container, pipeline, step

count = container(
    "registry.example.com/tools/count:1.2",
    inputs={"rows": Path},
    outputs={"lines": int},
    secrets={"TOKEN": "scores/token"},
)
score = container(
    "registry.example.com/tools/score:1",
    inputs={"lines": int},
    outputs={"best": float},
    executor="kubernetes",
)


@step(executor="process")
def load(day: str) -> Path:
    return Path(day)


@step(secrets={"TOKEN": "churn/token"})
def train(lines: int) -> float:
    return lines / 2


@step(secrets={"TOKEN": "churn/token"}, executor="kubernetes")
def deploy(model: float, best: float) -> str:
    return f"deployed {model} {best}"


@pipeline
def in_bucket(day: str = "2026-01-01"):
    lines = count(rows=load(day))
    return deploy(train(lines), score(lines=lines))
