"""Several steps in an iteration, each fed by the one before."""

from typing import NamedTuple

from levada import pipeline, step


class Model(NamedTuple):
    name: str
    weight: int


@step
def prepare(city: str) -> list[str]:
    return list(city)


@step
def train(letters: list[str], seed: int) -> Model:
    return Model("".join(sorted(letters)), len(letters) + seed)


@step
def evaluate(model: Model, weight: int) -> str:
    return f"{model.name}:{weight}"


@step
def compare(scores: list[str], models: list[Model]) -> list[str]:
    return scores + [model.name for model in models]


@pipeline
def fan_out_chain(cities: list[str] = ["oslo", "rome"], seed: int = 1):
    scores = []
    models = []
    for city in cities:
        letters = prepare(city)
        model = train(letters, seed)
        models.append(model)
        scores.append(evaluate(model, model.weight))
    return compare(scores, models)
