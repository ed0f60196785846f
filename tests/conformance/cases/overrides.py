"""Settings of one call; what a step returns does not depend on them."""

from levada import Resources, Retry, pipeline, step


@step(retry=Retry(2, delay=0.1), timeout="2m", environment={"MODE": "own"})
def work(value: int) -> int:
    return value + 1


@pipeline(retry=1, tags=["conformance"], owner="tests")
def overrides(value: int = 1):
    a = work(value)
    b = work.options(retry=0, resources=Resources(cpu=1, memory="64Mi"), cache=False)(a)
    return work.options(timeout=30).after(a)(b)
