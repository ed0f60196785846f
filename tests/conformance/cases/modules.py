"""Steps, constants and a sub-pipeline from other modules of the project."""

import project.steps.loading as loading
from levada import pipeline, step
from project.steps import LIMIT, clean
from project.steps.cleaning import load_clean


@step
def count(parts: list[str], other: list[str]) -> int:
    return len(parts) * 10 + len(other)


@pipeline
def modules(name: str = "sweden"):
    found = loading.load(name)
    kept = clean(found)
    more = load_clean(f"{name}{LIMIT}")
    return count(kept, more), kept, more
