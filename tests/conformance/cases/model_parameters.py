"""Parameters that are pydantic models: their validators run in the step's process."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from levada import pipeline, step


class Optimizer(BaseModel):
    kind: Literal["adam", "sgd"] = "adam"
    lr: float = Field(0.1, gt=0, le=1)


class Config(BaseModel):
    name: str
    optimizer: Optimizer = Optimizer()
    depths: list[Annotated[int, Field(ge=1)]] = [3]

    @field_validator("name")
    @classmethod
    def lower(cls, value: str) -> str:
        return value.lower()


@step
def same(value: object) -> object:
    return value


@step
def described(config: Config) -> str:
    return config.model_dump_json()


@pipeline
def model_parameters(config: Config = Config(name="A"), several: list[Config] = []):
    trained = [same(depth) for depth in config.depths]
    each = [same(item.optimizer) for item in several]
    if config.optimizer.kind == "sgd":
        same("sgd")
    return described(config), same(config), same(several), trained, each, config.optimizer.lr
