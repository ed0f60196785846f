"""A failing `finally` fails the run, whatever the body did."""

from levada import pipeline, step


@step
def work(value: int) -> int:
    return value


@step
def clean_up(fail: bool) -> None:
    if fail:
        raise RuntimeError("cannot clean up")


@step
def finish(value: int) -> int:
    return value + 1


@pipeline
def finally_fails(value: int = 1, fail: bool = True):
    try:
        worked = work(value)
    finally:
        clean_up(fail)
    return finish(worked)
