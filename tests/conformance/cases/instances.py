"""Instances as dicts, and copies of them with other fields."""

import dataclasses
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel

from levada import pipeline, step


class Layer(BaseModel):
    size: int
    act: str = "relu"


class Config(BaseModel):
    lr: float = 0.1
    layers: list[Layer] = [Layer(size=1)]
    named: dict[str, Layer] = {}
    best: Layer | None = None
    extra: dict[str, int] = {"k": 1}


@dataclass
class Optimizer:
    name: str
    size: int = 2


@dataclass
class Experiment:
    optimizer: Optimizer
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    a: int
    b: str


@step
def same(x: Any) -> Any:
    return x


@step
def pair(x: int) -> Pair:
    return Pair(x, "b")


@step
def fit(lr: float, layers: list[Any], named: dict[str, Any], **more: Any) -> Any:
    return [lr, layers, named, more]


@pipeline
def instances_as_dicts(
    config: Config = Config(layers=[Layer(size=3)], named={"x": Layer(size=2)}),
    experiment: Experiment = Experiment(Optimizer("adam"), ["x"]),
    n: int = 3,
):
    shown = asdict(experiment)
    given = pair(n)._asdict()
    short = config.model_dump(exclude={"extra", "best"})
    return fit(**config.model_dump()), same(shown), shown["optimizer"]["name"], same(given), short


@pipeline
def instances_changed(experiment: Experiment = Experiment(Optimizer("adam"), ["x"])):
    other = dataclasses.replace(experiment, tags=["new", experiment.optimizer.name])
    return same(other), other.tags, same(pair(2)._replace(b="c"))
