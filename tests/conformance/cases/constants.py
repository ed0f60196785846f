"""Module constants and arithmetic over constants and parameters."""

from levada import pipeline, step

BASE = 3
NAMES = ["ann", "bob", "cid"]
LIMITS = {"low": 1, "high": BASE * 100}
GREETING = f"hello {NAMES[0]}"


@step
def describe(name: str, limit: int, share: float, ratio: float) -> str:
    return f"{name} {limit} {share!r} {ratio!r}"


@step
def keep(items: list, options: dict) -> list:
    return [items, sorted(options)]


@pipeline
def constants(share: float = 0.25, count: int = 7, names: list[str] = NAMES):
    first = describe(GREETING, LIMITS["high"], 1 - share, count / 2)
    second = describe(names[-1], -count % 4 + BASE**2, share * 2, count // 2)
    third = describe(f"{names[0]:>6}|{share:.1%}|{count!r}", count, share, 2e-3)
    kept = keep([first, BASE, None, True], {"a": second, "b": third})
    return kept, [first, second], third
