"""Values that JSON does not have go through unchanged."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

from levada import pipeline, step


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Box:
    colour: Colour
    when: datetime
    parts: dict[tuple[int, int], set[str]] = field(default_factory=dict)


@step
def make(colour: str) -> Box:
    when = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone.utc)
    return Box(Colour(colour), when, {(1, 2): {"é", "b"}, (0, 0): set()})


@step
def odd() -> list:
    return [math.inf, -math.inf, -0.0, 2**70, b"\x00\xff", Decimal("1.10"), UUID(int=5), (1, (2,))]


@step
def check(box: Box, values: list) -> str:
    assert box.parts[1, 2] == {"b", "é"}
    assert math.copysign(1, values[2]) == -1
    assert isinstance(values[7], tuple)
    return f"{box.colour.name} {box.when:%Y-%m-%d} {values[3]} {values[5]}"


@pipeline
def values(colour: str = "red"):
    box = make(colour)
    found = odd()
    text = check(box, found)
    if found == [] or colour == "green":
        text = check(box, found)
    return text, box, found
