"""A loop in a loop, a branch and a handler in each item."""

from levada import pipeline, step


@step
def fetch(region: str, year: int) -> list[int]:
    return [year]


@step
def repair(region: str, year: int) -> list[int]:
    return []


@step
def total(parts: list[list[int]]) -> int:
    return sum(map(sum, parts))


@step
def warn(region: str) -> None:
    print(region)


@pipeline
def nested(regions: list[str] = ["north", "south"], years: list[int] = [2024, 2025]):
    everything = []
    for region in regions:
        parts = []
        for year in years:
            try:
                part = fetch(region, year)
            except Exception:
                part = repair(region, year)
            parts.append(part)
        if total(parts) > 10:
            warn(region)
        everything.append(total(parts))
    return everything
