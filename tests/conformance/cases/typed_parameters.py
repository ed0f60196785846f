"""Parameters of types that JSON does not have, given whole and in parts."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypedDict
from uuid import UUID

from levada import pipeline, step


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True)
class Layer:
    size: int
    activation: str = "relu"


class Range(NamedTuple):
    low: float
    high: float = 1.0


class Options(TypedDict):
    name: str
    tags: list[str]


@dataclass(frozen=True)
class ByCount:
    kind: Literal["count"]
    count: int


@dataclass(frozen=True)
class ByShare:
    kind: Literal["share"]
    share: float


@dataclass
class Config:
    layers: list[Layer] = field(default_factory=list)
    range: Range = Range(0.0)
    mode: Mode = Mode.FAST
    until: date | None = None
    weights: dict[int, float] = field(default_factory=lambda: {1: 0.5})

    def __post_init__(self):
        if self.until is None:
            self.until = date(2030, 1, 1)


LARGE = Config([Layer(64), Layer(size=128, activation="tanh")], mode=Mode.SLOW)


@step
def same(value: object) -> object:
    return value


@step
def named(path: Path) -> str:
    return f"{type(path).__name__} {path}"


@step
def layers_of(config: Config) -> int:
    return sum(layer.size for layer in config.layers)


@pipeline
def typed_parameters(
    config: Config = LARGE,
    options: Options | None = None,
    day: date = date(2025, 1, 2),
    start: datetime = datetime(2025, 1, 2, 3, 4),
    at: time = time(10, 30),
    window: timedelta = timedelta(days=30, hours=1),
    folder: Path = Path("data"),
    price: Annotated[Decimal, "in euros"] = Decimal("1.10"),
    key: UUID = UUID("12345678123456781234567812345678"),
    raw: bytes = b"\x00\xff",
    names: set[str] = {"a"},
    fixed: frozenset[int] = frozenset({3}),
    pair: tuple[int, Mode] = (1, Mode.SLOW),
    days: tuple[date, ...] = (),
    counts: dict[int, str] = {1: "one"},
    modes: list[Mode] = [Mode.FAST],
    sampling: ByCount | ByShare = ByShare("share", 0.5),
    extra: Layer | None = None,
):
    whole = [same(config), same(options), same(day), same(start), same(at), same(window)]
    more = [named(folder), named(folder / "x"), same(price), same(key), same(raw), same(names), same(fixed)]
    last = [same(pair), same(days), same(counts), same(modes), same(sampling), same(extra)]
    total = layers_of(config)
    sizes = [same(layer) for layer in config.layers]
    if config.mode == Mode.SLOW:
        same("slow")
    if len(config.layers) > 1 and day < start.date():
        same("many")
    parts = same((day + window, price * 2, counts.get(1), config.weights))
    return whole, more, last, total, sizes, parts, day.isoformat(), config.range.low + 1
