"""Steps that do next to nothing, in a chain and in a fan-out."""

from levada import pipeline, step


@step(cache=False)
def work(number: int) -> int:
    return number + 1


@pipeline
def chain():
    one = work(0)
    two = work(one)
    three = work(two)
    four = work(three)
    return work(four)


@pipeline
def fan_out(items: int = 100):
    for number in range(items):
        work(number)
