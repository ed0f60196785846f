"""Container steps: KFP brings their files, so the command has KFP's paths."""

from pathlib import Path

from levada import Resources, Volume, container, pipeline, step

score = container(
    "registry.example.com/tools/score:1.2",
    command=["/bin/score"],
    args=["/levada/in/rows", "--limit=/levada/in/limit", "--out", "/levada/out/scores"],
    inputs={"rows": Path, "limit": int},
    outputs={"scores": Path},
    environment={"LANG": "C"},
    secrets={"TOKEN": "scores/token"},
    resources=Resources(cpu=2, memory="1Gi"),
    volumes=[Volume("models", "/models")],
    timeout="10m",
    retry=2,
)
ping = container("registry.example.com/tools/ping:1", command=["/bin/ping"])


@step
def load(day: str) -> Path:
    return Path(day)


@step
def size(scores: Path) -> int:
    return scores.stat().st_size


@pipeline
def programs(days: list[str]):
    ping()
    return [size(score(rows=load(day), limit=3)) for day in days]
