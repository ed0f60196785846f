"""`elif` chains and branches within branches; one decided by a parameter alone."""

from levada import pipeline, step


@step
def measure(value: int) -> int:
    return value


@step
def name(text: str) -> str:
    return text


@step
def finish(text: str, value: int) -> str:
    return f"{text} {value}"


@pipeline
def branch_elif(value: int = 5, mode: str = "normal"):
    measured = measure(value)
    if mode == "off":
        result = name("off")
    elif measured < 0:
        result = name("negative")
    elif 0 <= measured < 10:
        if mode != "normal":
            result = name("small, special")
        else:
            result = name("small")
    else:
        result = name("large")
    return finish(result, measured)
