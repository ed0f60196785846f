"""A branch decided by a step's output, and a merge."""

from levada import pipeline, step


@step
def measure(value: int) -> int:
    return value * 2


@step
def accept(value: int) -> str:
    return f"accepted {value}"


@step
def reject(value: int, reason: str) -> str:
    return f"rejected {value}: {reason}"


@step
def announce(message: str) -> str:
    return message.upper()


@pipeline
def branch(value: int = 10):
    measured = measure(value)
    if measured > 15:
        message = accept(measured)
    else:
        message = reject(measured, f"{measured} is at most 15")
    return announce(message)
