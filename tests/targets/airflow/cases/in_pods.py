"""Steps in pods: resources, a GPU, where they may run, volumes and secrets by reference."""

from levada import Resources, Volume, pipeline, step


@step(
    image="registry.example.com/churn/load@sha256:aaaa",
    secrets={"TOKEN": "churn/token", "KEY": "key"},
    volumes=[Volume("data", "/data", read_only=True)],
)
def load(path: str) -> list[int]:
    """Read what there is."""
    return [len(path), 3]


@step(
    image="registry.example.com/churn/train@sha256:bbbb",
    resources=Resources(cpu="1500m", memory="4Gi", gpu=1),
    node_selector={"gpu": "a100"},
    tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    timeout="2h",
)
def train(depth: int, path: str) -> float:
    return depth / 2


@step
def pick(scores: list[float]) -> float:
    return max(scores)


@step
def deploy(score: float) -> str:
    return f"deployed {score}"


@pipeline
def in_pods(path: str = "a $(HOME) {{ ti }}"):
    best = pick([train(depth, path) for depth in load(path)])
    if best > 1.0:
        deploy(best)
    return best
