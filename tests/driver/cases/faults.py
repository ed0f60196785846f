"""Pipelines that have something happen to them. Each run of a step leaves a line in a file."""

import os
import time

from levada import PermanentError, Resources, Retry, Volume, pipeline, step

TRACE = "/var/lib/levada/trace"


def trace(name: str, folder: str) -> None:
    with open(f"{TRACE}-{folder}", "a") as file:
        file.write(f"{name}\n")


@step(cache=False)
def listed(folder: str, count: int) -> list[int]:
    trace("listed", folder)
    return list(range(count))


@step(cache=False, retry=Retry(2, delay=0.5))
def doubled(folder: str, number: int) -> int:
    path = f"{TRACE}-{folder}-failed-{number}"
    if number % 3 == 1 and not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("the first attempt")
    trace(f"doubled {number}", folder)
    return 2 * number


@step(cache=False)
def total(folder: str, numbers: list[int]) -> int:
    trace("total", folder)
    return sum(numbers)


@step(cache=False)
def closed(folder: str) -> str:
    trace("closed", folder)
    return "closed"


@step(cache=False)
def waits(folder: str, seconds: float) -> str:
    trace("waits", folder)
    time.sleep(seconds)
    trace("waited", folder)
    return "done"


@pipeline
def chain(folder: str, count: int = 4):
    """A fan-out with retries, a decision, an exit handler."""
    try:
        numbers = listed(folder, count)
        doubles = [doubled(folder, number) for number in numbers]
        found = total(folder, doubles)
        if found > 5:
            found = total(folder, [found, 1])
    finally:
        end = closed(folder)
    return found, end


@step(cache=False)
def part(folder: str, number: int, place: int) -> int:
    trace(f"part {number} {place}", folder)
    return number + place


@step(cache=False)
def refused(folder: str) -> int:
    trace("refused", folder)
    raise PermanentError("as ever")


@pipeline
def mixed(folder: str, count: int = 4):
    """Fan-outs in fan-outs, a decision for each item, retries, a failure that is handled."""
    sums = []
    try:
        numbers = listed(folder, count)
        doubles = [doubled(folder, number) for number in numbers]
        for number in numbers:
            parts = [part(folder, number, place) for place in range(2)]
            found = total(folder, parts)
            if found > 3:
                found = total(folder, [found, 1])
            sums.append(found)
        try:
            rest = refused(folder)
        except Exception:
            rest = total(folder, doubles)
    finally:
        end = closed(folder)
    return total(folder, sums), rest, end


@pipeline
def waiting(folder: str, seconds: float = 60.0):
    """A step that takes its time, and an exit handler."""
    try:
        waits(folder, seconds)
    finally:
        closed(folder)


@pipeline
def endless(folder: str):
    """An exit handler that takes longer than it may."""
    try:
        waits(folder, 300.0)
    finally:
        waits(folder, 300.0)


@step(cache=False, resources=Resources(memory="96Mi"))
def eats(folder: str) -> int:
    held = []
    while True:
        held.append(bytearray(8 * 2**20))


@pipeline
def eating(folder: str):
    """A step that needs more memory than it has."""
    eats(folder)


@step(image="levada.local/not-there:1")
def without_image() -> None: ...


@pipeline
def missing_image():
    without_image()


@step(resources=Resources(gpu=1))
def without_node() -> None: ...


@pipeline
def missing_node():
    without_node()


@step(secrets={"TOKEN": "not-there/token"})
def without_secret() -> None: ...


@pipeline
def missing_secret():
    without_secret()


@step(volumes=[Volume("not-there", "/data")])
def without_volume() -> None: ...


@pipeline
def missing_volume():
    without_volume()


@step(cache=False, timeout=2, retry=1)
def stays(folder: str) -> None:
    trace("stays", folder)
    time.sleep(60)


@pipeline
def timed_out(folder: str):
    """Two attempts that take too long."""
    stays(folder)


@step(cache=False)
def exits(folder: str) -> None:
    trace("exits", folder)
    os._exit(7)


@pipeline
def exiting(folder: str):
    """A process that ends without a word."""
    exits(folder)


@step(secrets={"TOKEN": "api/token"}, environment={"TEXT": "$(HOME) $$ ${x}"}, cache=False)
def literal(text: str) -> list[str]:
    print(os.environ["TOKEN"])
    return [text, os.environ["TEXT"], str(len(os.environ["TOKEN"]))]


@pipeline
def literally(text: str):
    return literal(text)
