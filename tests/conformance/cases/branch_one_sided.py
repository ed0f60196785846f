"""A branch without `else`: an earlier value is kept, or replaced."""

from levada import pipeline, step


@step
def draft(text: str) -> str:
    return text


@step
def improve(text: str) -> str:
    return text + "!"


@step
def audit(text: str) -> str:
    return f"audited {text}"


@step
def publish(text: str) -> str:
    return f"published {text}"


@pipeline
def branch_one_sided(text: str = "a", better: bool = True):
    current = draft(text)
    if better:
        current = improve(current)
    if current == "b":
        audit(current)
    return publish(current)
