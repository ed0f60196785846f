"""A fan-out over nothing, with a branch and a fan-out in it: what joins gets empty lists."""

from levada import pipeline, step


@step
def measure(city: str) -> int:
    return len(city)


@step
def half(size: int) -> int:
    return size // 2


@step
def letters(city: str, count: int) -> list[str]:
    return list(city)[:count]


@step
def upper(letter: str) -> str:
    return letter.upper()


@step
def join(sizes: list[int], parts: list[list[str]]) -> str:
    return f"{sizes} {parts}"


@pipeline
def fan_out_empty(cities: list[str] = []):
    sizes = []
    parts = []
    for city in cities:
        size = measure(city)
        if size > 4:
            count = half(size)
        else:
            count = measure(city)
        shown = letters(city, count)
        capitals = [upper(letter) for letter in shown]
        letters(join([count], [capitals]), count)
        sizes.append(size)
        parts.append(shown)
    return join(sizes, parts)
