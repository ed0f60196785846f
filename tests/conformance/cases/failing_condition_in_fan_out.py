"""A condition that raises is the failure of its item, and of no other one; so is a loop's."""

from levada import pipeline, step


@step
def maybe(value: int) -> int | None:
    return value or None


@step
def items(value: int) -> list[int] | None:
    return list(range(value)) if value else None


@step
def mark(text: str) -> str:
    return text


@step
def size(marks: list[str]) -> str:
    return str(len(marks))


@step
def report(texts: list[str]) -> list[str]:
    return texts


@pipeline
def failing_condition_in_fan_out(values: list[int] = [0, 1, 20]):
    texts = []
    for value in values:
        found = maybe(value)
        try:
            if found > 10:
                text = mark("big")
            else:
                inner = items(value - 1)
                marks = [mark(f"{value} {item}") for item in inner]
                text = size(marks)
        except Exception:
            text = mark("unknown")
        finally:
            mark(f"over {value}")
        texts.append(text)
    return report(texts)
