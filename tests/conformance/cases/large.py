"""Values larger than what fits into an engine's own messages."""

from levada import pipeline, step


@step
def words(count: int) -> list[str]:
    return [f"word number {number}" for number in range(count)]


@step
def blob(size: int) -> bytes:
    return bytes(range(256)) * (size // 256)


@step
def measure(words: list[str], blob: bytes) -> int:
    return sum(map(len, words)) + len(blob)


@pipeline
def large(count: int = 20000, size: int = 1 << 20):
    listed = words(count)
    data = blob(size)
    return measure(listed, data)
