from levada import pipeline, step

from . import loading


@step
def clean(found: list[str]) -> list[str]:
    return [text for text in found if text not in loading.letters("e")]


@pipeline
def load_clean(name: str):
    return clean(loading.load(name, loading.LIMIT + 1))
