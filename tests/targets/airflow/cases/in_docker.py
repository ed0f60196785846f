"""Steps in containers, each in the image that it names; what decides runs beside them."""

from levada import Resources, Volume, pipeline, step


@step(
    image="registry.example.com/churn/load@sha256:aaaa",
    secrets={"TOKEN": "churn/token"},
    volumes=[Volume("/srv/data", "/data", read_only=True), Volume("scratch", "/scratch")],
)
def load(path: str) -> list[int]:
    """Read what there is."""
    return [len(path), 3]


@step(
    image="registry.example.com/churn/train@sha256:bbbb",
    resources=Resources(cpu="1500m", memory="4Gi", gpu=1),
    timeout="2h",
)
def train(depth: int) -> float:
    return depth / 2


@step
def pick(scores: list[float]) -> float:
    return max(scores)


@step
def deploy(score: float) -> str:
    return f"deployed {score}"


@pipeline
def in_docker(path: str = "a"):
    best = pick([train(depth) for depth in load(path)])
    if best > 1.0:
        deploy(best)
    return best
