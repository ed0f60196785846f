"""Everything that Kubernetes is asked for, for a step and for one call of it."""

from levada import Resources, Retry, Volume, pipeline, step


@step(
    resources=Resources(cpu="500m", memory="2Gi", gpu=1, gpu_type="nvidia.com/gpu"),
    retry=Retry(3, delay=10, backoff=1.5, max_delay=120),
    timeout="15m",
    secrets={"TOKEN": "warehouse/token", "USER": "warehouse/user"},
    environment={"MODE": "{{ not a template }} $(HOME)"},
    volumes=[Volume("data", "/data")],
    node_selector={"pool": "gpu"},
    tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    image="registry.example.com/team/train@sha256:0000",
)
def train(depth: int) -> int:
    return depth


@step(cache=False)
def report(depths: list[int]) -> str:
    return str(depths)


@pipeline(owner="research", tags=["nightly"], max_parallel=4)
def settings(depth: int = 3, note: str = "{{workflow.name}}", table: dict[str, int] = {}):
    """Train twice."""
    first = train(depth)
    second = train.options(resources=Resources(cpu=4), timeout="1h")(depth + 1)
    return report([first, second])
