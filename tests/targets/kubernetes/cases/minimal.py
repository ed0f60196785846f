"""A pipeline without a schedule, all options as they are."""

from levada import pipeline, step


@step(image="example/steps:1.0")
def work(size: int) -> int:
    return size


@pipeline
def minimal(size: int):
    return work(size)
