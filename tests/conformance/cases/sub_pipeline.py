"""A pipeline called by a pipeline, twice, and with one of its own within."""

from typing import NamedTuple

from levada import pipeline, step


@step
def load(name: str) -> str:
    return f"rows of {name}"


@step
def clean(text: str, strict: bool) -> str:
    return text.title() if strict else text


@step
def size(text: str) -> int:
    return len(text)


@step
def add(left: int, right: int) -> int:
    return left + right


@pipeline
def measure(text: str):
    """How long a text is."""
    return size(text)


@pipeline
def prepare(name: str, strict: bool = True):
    """Load and clean."""
    cleaned = clean(load(name), strict)
    return cleaned, measure(cleaned)


@pipeline
def sub_pipeline(name: str = "left"):
    text, left = prepare(name)
    other, right = prepare("right side", strict=False)
    return add(left, right), text, other
