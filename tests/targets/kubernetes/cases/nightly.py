"""All that a step can ask of a cluster, on a schedule."""

from levada import Resources, Retry, Volume, pipeline, step


@step(
    image="registry.example.com/nightly@sha256:" + "ab" * 32,
    resources=Resources(cpu=0.5, memory="4096Mi", gpu=1, disk="10Gi"),
    secrets={"TOKEN": "api/token", "KEY": "KEY"},
    volumes=[Volume("raw.data", "/data", read_only=True)],
    tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    node_selector={"pool": "gpu"},
    environment={"MODE": "$(HOME)"},
    retry=Retry(2, delay=5),
    timeout="15m",
    priority=10,
    queue="gpus",
)
def train(path: str, depth: int) -> float:
    """Train."""
    return 1.0


@step
def report(scores: list[float]) -> str:
    """Report."""
    return "fine"


@pipeline(
    schedule="30 6 * * 5-7",
    timezone="Europe/Lisbon",
    max_active_runs=1,
    owner="data: science",
    tags=["nightly", "gpu"],
)
def nightly_training(path: str = "s3://$(BUCKET)/{{ ds }}", depths: list[int] = [4, 8]):
    """Train with each depth."""
    scores = [train(path, depth) for depth in depths]
    return report(scores)
