"""Iterations one after the other: each reads what the one before has written."""

from pathlib import Path

from levada import Loop, pipeline, step


@step(cache=False)
def add(folder: str, word: str) -> str:
    log = Path(folder, "log")
    before = log.read_text() if log.exists() else ""
    if word == "bad":
        raise ValueError(word)
    log.write_text(before + word)
    return before + word


@step(cache=False)
def end(folder: str) -> str:
    return Path(folder, "log").read_text()


@step
def size(word: str) -> int:
    return len(word)


@pipeline
def loop_in_order(folder: str, words: list[str]):
    try:
        found = [add(folder, word) for word in Loop(words, max_parallel=1)]
    except ValueError:
        found = [end(folder)]
    sizes = [size(word) for word in Loop([*words, "last"], max_parallel=2)]
    return found, sizes
