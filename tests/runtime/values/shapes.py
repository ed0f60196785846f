"""Classes of a project, as steps return them."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import BaseModel, PrivateAttr, field_validator


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 3


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: float = 0.0


class Outer:
    @dataclass
    class Inner:
        name: str


@dataclass
class Loose:
    """Fails when it is constructed again: loading must not do that."""

    n: int
    twice: int = field(init=False)
    constructed = 0

    def __post_init__(self) -> None:
        type(self).constructed += 1
        self.twice = 2 * self.n

    @cached_property
    def cache(self) -> int:
        return self.n


class Report(NamedTuple):
    model: Any
    auc: float


class Order(BaseModel):
    size: int
    tags: set[str] = set()
    _seen: int = PrivateAttr(default=0)

    @field_validator("size")
    @classmethod
    def positive(cls, value: int) -> int:
        if value < 0:
            raise ValueError("negative")
        return value


class Mixin:
    pass


class Names(list, Mixin):  # type: ignore[type-arg]
    pass


class OtherZone(datetime.tzinfo):
    def utcoffset(self, _: object) -> datetime.timedelta:
        return datetime.timedelta(0)


def make_local() -> object:
    @dataclass
    class Local:
        n: int = 1

    return Local()


def with_extra() -> Loose:
    loose = Loose(1)
    loose.extra = 2  # type: ignore[attr-defined]
    return loose


def recursive() -> list[Any]:
    values: list[Any] = []
    values.append({"again": values})
    return values
