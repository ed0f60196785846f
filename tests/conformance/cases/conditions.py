"""Every operator of a condition, over outputs, parameters and constants."""

from typing import NamedTuple

from levada import pipeline, step


class Facts(NamedTuple):
    count: int
    name: str
    missing: str | None
    tags: list[str]


@step
def facts(count: int, name: str) -> Facts:
    return Facts(count, name, None if count else "here", ["x", name])


@step
def mark(text: str) -> str:
    return text


@pipeline
def conditions(count: int = 0, name: str = "n"):
    found = facts(count, name)
    marks = []
    if found.count:
        marks.append(mark("truthy"))
    if not found.count or name == "z":
        marks.append(mark("or"))
    if found.missing is None and found.count >= 1:
        marks.append(mark("none"))
    if found.missing is not None:
        marks.append(mark("some"))
    if "x" in found.tags and name not in ("q", "r"):
        marks.append(mark("in"))
    if 0 < found.count <= 3 != count:
        marks.append(mark("chain"))
    if found.name == name and (found.count, 1) < (2, 0):
        marks.append(mark("tuple"))
    return marks
