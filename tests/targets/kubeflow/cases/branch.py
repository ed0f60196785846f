"""A branch with `elif`, and what comes after it."""

from levada import pipeline, step


@step
def measure(path: str) -> float:
    return float(len(path))


@step
def deploy(value: float) -> str:
    return f"deployed {value}"


@step
def ask(value: float) -> str:
    return f"asked about {value}"


@step
def notify(text: str) -> str:
    return text


@pipeline
def branch(path: str = "data.csv", limit: float = 0.9):
    value = measure(path)
    if value > limit:
        outcome = deploy(value)
    elif limit - 0.1 < value <= limit or path == "force":
        outcome = ask(value)
    else:
        outcome = "nothing"
    return notify(outcome)
