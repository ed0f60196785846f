"""An iteration that adds nothing, and one that runs a step only sometimes."""

from levada import pipeline, step


@step
def inspect(name: str) -> int:
    return len(name)


@step
def repair(name: str, size: int) -> str:
    return name * size


@step
def log(names: list[str]) -> int:
    return len(names)


@pipeline
def conditional_append(names: list[str] = ["a", "bb", "ccc"], limit: int = 2):
    repaired = []
    for name in names:
        size = inspect(name)
        if size >= limit:
            repaired.append(repair(name, size))
    return log(repaired), repaired
