"""Steps that say where and with what they run."""

import time
from pathlib import Path

from levada import Resources, Volume, pipeline, step

TOLERATION = {"key": "levada.dev/test", "operator": "Exists", "effect": "NoSchedule"}


@step(cache=False)
def first(seconds: float) -> str:
    time.sleep(seconds)
    return "first"


@step(
    cache=False,
    resources=Resources(gpu=1, gpu_type="example.com/gpu"),
    node_selector={"levada.dev/test": "yes"},
    tolerations=[TOLERATION],
    volumes=[Volume("data", "/data")],
    priority=10,
)
def demanding(before: str) -> str:
    with Path("/data/seen").open("a") as file:
        file.write(before)
    return "second"


@step(cache=False)
def undemanding(before: str) -> str:
    return before


@pipeline
def placed(seconds: float = 4.0):
    """One step that runs on a tainted node, and one that has to wait until it is no more."""
    return undemanding(demanding(first(seconds)))


@pipeline
def plain():
    return first(0.0)


@pipeline(schedule="* * * * *")
def each_minute():
    return first(0.0)
