"""What CEL decides, and what a step decides because CEL might not do it as Python does."""

from enum import Enum
from typing import Literal

from levada import pipeline, step


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


@step
def say(text: str) -> str:
    return text


@pipeline
def conditions(
    depth: int = 3,
    rate: float = 0.5,
    name: str = "a",
    flag: bool = True,
    letter: Literal["a", "b"] = "a",
    mode: Mode = Mode.FAST,
):
    if depth > 2 and not flag or name == "b":
        say("CEL")
    elif 0.1 < rate:
        say("CEL again")
    else:
        say("neither")
    if depth % 2:
        say("a step: CEL has another remainder")
    if name:
        say("a step: the truth of a string")
    if say("x") == "x":
        say("a step: what a step returned may be anything")
    if letter == "b":
        say("CEL: one of some strings")
    if mode == Mode.FAST:
        say("a step: a member is not its value")
