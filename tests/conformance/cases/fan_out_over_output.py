"""Fan-out over what a step returned, then over what the fan-out returned."""

from levada import pipeline, step


@step
def shards(count: int) -> list[str]:
    return [f"shard-{number}" for number in range(count)]


@step
def clean(shard: str) -> str:
    return shard.upper()


@step
def count(shard: str) -> int:
    return len(shard)


@step
def total(counts: list[int], names: list[str]) -> list:
    return [sum(counts), *names]


@pipeline
def fan_out_over_output(number: int = 2):
    names = shards(number)
    cleaned = [clean(name) for name in names]
    counts = [count(name) for name in cleaned]
    return total(counts, cleaned)
