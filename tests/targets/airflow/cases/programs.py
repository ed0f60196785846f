"""Container steps on each executor."""

from pathlib import Path

from levada import Resources, Volume, container, pipeline, step

count = container(
    "registry.example.com/tools/count:1.2",
    command=["sh", "-c"],
    args=["wc -l < /levada/in/rows > /levada/out/lines && echo $COST"],
    inputs={"rows": Path},
    outputs={"lines": int},
    environment={"COST": "$5"},
    secrets={"TOKEN": "scores/token"},
    resources=Resources(cpu=2, memory="1Gi"),
    volumes=[Volume("models", "/models")],
    timeout="10m",
)
notify = container(
    "registry.example.com/tools/notify:3", inputs={"text": str}, executor="kubernetes"
)
split = container(
    "registry.example.com/tools/split:3",
    inputs={"lines": int},
    outputs={"head": Path, "tail": Path},
    executor="process",
)
score = container(
    "registry.example.com/tools/score@sha256:" + "0" * 64,
    args=["--price=$5"],
    inputs={"rows": Path},
    outputs={"best": float},
    environment={"COST": "$(X)"},
    secrets={"TOKEN": "scores/token"},
    resources=Resources(cpu=2, memory="1Gi"),
    volumes=[Volume("models", "/models")],
    node_selector={"disk": "ssd"},
    executor="kubernetes",
)


@step(image="registry.example.com/steps:2")
def load(day: str) -> Path:
    return Path(day)


@pipeline
def programs(day: str = "2026-01-01"):
    rows = load(day)
    parts = split(lines=count(rows=rows))
    best = [score(rows=each) for each in [parts.head, parts.tail]]
    notify(text=f"{day}: {best}")
    return best
