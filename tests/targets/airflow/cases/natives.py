"""What Airflow has of its own: a form with limits, assets, callbacks, pools, backoff, owner."""

from typing import Annotated, Literal

from annotated_types import Interval
from levada import PermanentError, Retry, context, log_metric, pipeline, step
from pydantic import Field


@step(consumes=["s3://lake/raw"], pool="default_pool", priority=5)
def load(path: str) -> list[int]:
    """Read *all* of it."""
    return [len(path)] * 3


@step(
    produces=["s3://lake/model", "s3://lake/report"],
    on_failure="alerts:tell",
    retry=Retry(2, delay=30, max_delay=300),
    timeout="15m",
    sla="30m",
)
def train(sizes: list[int], depth: int) -> float:
    if depth == 10:
        raise PermanentError("too deep")
    log_metric("loss", 1.0)
    log_metric("loss", 0.5)
    return sum(sizes) / depth


@step(produces=["s3://lake/parts"])
def part(size: int) -> int:
    return size


@step
def when() -> str:
    return f"{context().data_interval_start} {context().data_interval_end}"


@pipeline(
    triggered_by=["s3://lake/raw"],
    owner="growth",
    tags=["churn", "daily"],
    on_failure="alerts:tell_all",
    sla="1h",
    on_sla_miss="alerts:late",
    max_active_runs=1,
)
def natives(
    path: Annotated[str, Field(min_length=1, max_length=20, pattern="^[a-z/]+$")] = "raw",
    depth: Annotated[int, Interval(ge=1, le=10)] = 2,
    rate: Annotated[float, Field(gt=0, lt=1)] | None = None,
    solver: Literal["exact", "fast"] = "fast",
    backup: Literal["exact", "fast"] | None = None,
    level: Literal[1, 2, 3] = 1,
    full: bool = False,
    names: list[str] = ["a"],
):
    """Trains what there is.

    Args:
        path: Where the data is.
        depth: How deep to look.
        rate: The learning rate; none takes the solver's own.
        solver: What solves it.
    """
    sizes = load(path)
    loss = train(sizes, depth)
    for size in sizes:
        part(size)
    when()
    return loss
