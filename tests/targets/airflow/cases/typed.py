"""Parameters of types that JSON does not have: the form, and what makes values of them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from levada import pipeline, step


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


@dataclass
class Layer:
    size: Annotated[int, Ge(1)]
    activation: str = "relu"


@dataclass
class Config:
    layers: list[Layer] = field(default_factory=list)
    mode: Mode = Mode.FAST


@step
def load(folder: Path, since: datetime) -> list[str]: ...


@step
def train(config: Config, day: date | None) -> float: ...


@step
def fit(layer: Layer) -> float: ...


@pipeline
def typed(
    start: datetime,
    folder: Path = Path("data"),
    day: date | None = None,
    config: Config = Config([Layer(64)]),
    names: set[str] = {"b", "a"},
):
    """Trains on what came since a day.

    Args:
        start: The first moment.
        names: Names of tables.
    """
    load(folder / config.mode.value, start)
    trained = train(config, day)
    for layer in config.layers:
        fit(layer)
    return trained, names
