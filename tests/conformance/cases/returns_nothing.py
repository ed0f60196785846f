"""A pipeline without outputs, steps without results, falsy values."""

from levada import pipeline, step


@step
def nothing() -> None:
    return None


@step
def empty() -> dict:
    return {}


@step
def consume(value: None, other: dict, zero: int, text: str) -> None:
    assert value is None
    assert (other, zero, text) == ({}, 0, "")


@pipeline
def returns_nothing():
    value = nothing()
    other = empty()
    consume(value, other, 0, "")
