"""An exception that a pipeline raises in an iteration, and handles there."""

from levada import pipeline, step


@step
def say(text: str) -> str:
    return text


@pipeline
def raise_in_items(values: list[int] = [1, 2, 3]):
    out = []
    for value in values:
        try:
            raise ValueError("always")
        except ValueError:
            out.append(say("handled"))
    for value in values:
        try:
            say("before")
            if value > 1:
                raise KeyError("large")
        except KeyError:
            out.append(say("key"))
    return out
