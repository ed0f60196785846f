"""`range`, `enumerate`, `zip` and tuple targets at run time."""

from levada import pipeline, step


@step
def pairs(count: int) -> list[tuple[str, int]]:
    return [(chr(97 + number), number) for number in range(count)]


@step
def show(name: str, value: int, place: int = -1) -> str:
    return f"{place}{name}{value}"


@step
def join(parts: list[str]) -> str:
    return "|".join(parts)


@pipeline
def fan_out_targets(count: int = 2, names: list[str] = ["x", "y", "z"]):
    found = pairs(count)
    a = join([show(name, value) for name, value in found])
    b = join([show(name, value, place) for place, (name, value) in enumerate(found)])
    c = join([show(name, number) for name, number in zip(names, range(1, count + 1))])
    d = join([show("r", number) for number in range(count)])
    return a, b, c, d
