"""A decision for each item, and a guard for each item."""

from levada import pipeline, step


@step
def score(value: int) -> int:
    return value * 3


@step
def promote(value: int) -> str:
    return f"up {value}"


@step
def demote(value: int) -> str:
    return f"down {value}"


@step
def risky(text: str) -> str:
    if text == "down 3":
        raise ValueError(text)
    return text.upper()


@step
def check(text: str) -> str:
    if text == "UP 33":
        raise ValueError(text)
    return text


@step
def instead(text: str) -> str:
    return text if text == "down 3" else f"{text}!"


@step
def report(texts: list[str]) -> str:
    return ", ".join(texts)


@pipeline
def branch_in_fan_out(values: list[int] = [1, 5]):
    texts = []
    for value in values:
        points = score(value)
        if points > 5:
            text = promote(points)
        else:
            text = demote(points)
        try:
            final = check(risky(text))
        except Exception:
            final = instead(text)
        texts.append(final)
    return report(texts)
