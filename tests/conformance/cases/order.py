"""Order without data: a statement `after(…)`, and `f.after(…)` on one call."""

from pathlib import Path

from levada import after, pipeline, step


@step(cache=False)
def append(folder: str, line: str) -> None:
    with Path(folder, "log").open("a") as file:
        file.write(line + "\n")


@step(cache=False)
def read(folder: str) -> str:
    return Path(folder, "log").read_text()


@pipeline
def order(folder: str):
    one = append(folder, "one")
    two = append.after(one)(folder, "two")
    after(two)
    three = append(folder, "three")
    return read.after(three)(folder)
