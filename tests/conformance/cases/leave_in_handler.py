"""A handler that leaves the iteration or the pipeline, in loops of both kinds."""

from levada import pipeline, step


@step
def halve(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


@step
def same(value: object) -> object:
    return value


@pipeline
def leave_in_handler(numbers: list[int] = [2, 3, 8], first: int = 4):
    try:
        start = halve(first)
    except ValueError as error:
        return type(error).__name__, str(error), 0, 0
    halves, problems = [], {}
    for number in numbers:
        try:
            half = halve(number)
        except ValueError as error:
            problems[number] = str(error)
            continue
        halves.append(same(half + start))
    last = 0
    for number in [2, 6, 5, 4]:
        try:
            half = halve(number)
        except ValueError:
            break
        last = half
    return halves, problems, sum(halves), last
