"""Container steps: with all that a program's container may have, and with its image alone."""

from pathlib import Path

from levada import Resources, Volume, container, pipeline, step

score = container(
    "registry.example.com/tools/score:1.2",
    command=["/bin/score", "--cost=$5"],
    args=["/levada/in/rows", "--out", "/levada/out/scores"],
    inputs={"rows": Path, "limit": int},
    outputs={"scores": Path, "best": float},
    environment={"LANG": "C", "PRICE": "$(COST)"},
    secrets={"TOKEN": "scores/token"},
    resources=Resources(cpu=2, memory="1Gi"),
    volumes=[Volume("models", "/models")],
    node_selector={"disk": "ssd"},
    timeout="10m",
    retry=2,
)
notify = container("registry.example.com/tools/notify:3", inputs={"text": str})


@step(image="registry.example.com/steps:2")
def load(day: str) -> Path:
    return Path(day)


@pipeline
def programs(day: str = "2026-01-01"):
    scored = score(rows=load(day), limit=3)
    if scored.best > 0.5:
        notify(text=f"{day}: {scored.best}")
    return scored.best
