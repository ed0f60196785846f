"""A fan-out in a fan-out: the inner list may depend on the outer item."""

from levada import pipeline, step


@step
def files(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number}" for number in range(count)]


@step
def read(path: str, folder: str) -> str:
    return f"{folder}:{path}"


@step
def merge(parts: list[str], folder: str) -> str:
    return f"{folder}({' '.join(parts)})"


@step
def finish(merged: list[str]) -> str:
    return "; ".join(merged)


@pipeline
def fan_out_nested(folders: list[str] = ["a", "b"], count: int = 2):
    merged = []
    for folder in folders:
        paths = files(folder, count)
        parts = [read(path, folder) for path in paths]
        merged.append(merge(parts, folder))
    return finish(merged)
