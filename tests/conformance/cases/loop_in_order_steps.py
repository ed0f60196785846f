"""Iterations of several steps one after the other; Airflow refuses them (airflow-loop-order)."""

from pathlib import Path

from levada import Loop, pipeline, step


@step(cache=False)
def read(folder: str, word: str) -> str:
    log = Path(folder, "log")
    return (log.read_text() if log.exists() else "") + word


@step(cache=False)
def write(folder: str, text: str) -> int:
    if text.endswith("bad"):
        raise ValueError(text)
    return Path(folder, "log").write_text(text)


@pipeline
def loop_in_order_steps(folder: str, words: list[str]):
    sizes = []
    for word in Loop(words, max_parallel=1):
        text = read(folder, word)
        sizes.append(write(folder, text))
    return sizes
