"""Each executor once, in one file; a condition runs where the step runs that it looks at."""

from levada import Resources, pipeline, step


@step
def measure(size: int) -> int:
    return size * 2


@step(executor="docker", image="registry.example.com/small@sha256:aaaa")
def check(size: int) -> bool:
    return size > 3


@step(
    executor="kubernetes",
    image="registry.example.com/large@sha256:bbbb",
    resources=Resources(memory="64Gi"),
)
def train(size: int) -> int:
    return size + 1


@step
def report(text: str) -> str:
    return text


@pipeline
def mixed(size: int = 2):
    measured = measure(size)
    if check(measured):
        for number in range(measured):
            train(number)
    else:
        report(f"{measured} is too small")
