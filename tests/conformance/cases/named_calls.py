"""Names of calls: tasks are called so, and values find their way."""

from levada import pipeline, step

REGIONS = ["north", "south"]
LIMITS = {"low": {"retry": 0}, "high": {"retry": 1}}


@step
def measure(region: str) -> int:
    return len(region)


@step
def total(sizes: list[int]) -> int:
    return sum(sizes)


@pipeline
def named_calls(more: list[str] = ["a", "bb"]):
    known = [measure.options(name=f"measure_{region}")(region) for region in REGIONS]
    for name, limit in LIMITS.items():
        known.append(measure.options(name=f"measure_{name}", retry=limit["retry"])(name))
    others = [measure.options(name="measure_other")(region) for region in more]
    first = total.options(name="total_known", retry=1)(known)
    if first > 3:
        last = total.options(name="total_all")([first, total(others)])
    else:
        last = total(others)
    return first, last
