"""Side effects in the order of the source, seen by what they write into a file."""

from pathlib import Path

from levada import after, parallel, pipeline, step


@step(cache=False)
def write(folder: str, line: str) -> None:
    with Path(folder, "log").open("a") as file:
        file.write(line + "\n")


@step(cache=False)
def read(folder: str) -> list[str]:
    path = Path(folder, "log")
    return path.read_text().splitlines() if path.exists() else []


@step(cache=False)
def read_sorted(folder: str) -> list[str]:
    """What was written by iterations, which may be in any order."""
    path = Path(folder, "log")
    return sorted(path.read_text().splitlines()) if path.exists() else []


@step(cache=False)
def exists(folder: str) -> bool:
    return Path(folder, "log").exists()


@step(cache=False)
def check(folder: str, good: bool) -> None:
    if not good:
        raise ValueError("not good")


@step
def num(x: int) -> int:
    return x


@step
def nums(n: int) -> list[int]:
    return list(range(n))


@pipeline
def effects_in_order(folder: str):
    write(folder, "one")
    write(folder, "two")
    return read(folder)


@pipeline
def effect_gate(folder: str, good: bool):
    check(folder, good)
    write(folder, "promoted")
    return read(folder)


@pipeline
def effect_gate_in_branch(folder: str, n: int):
    rows = nums(n)
    if not rows:
        check(folder, False)
    write(folder, f"{len(rows)} rows")
    return read(folder)


@pipeline
def effect_before_branch(folder: str):
    write(folder, "one")
    if exists(folder):
        write(folder, "two")
    return read(folder)


@pipeline
def effect_created(folder: str):
    if not exists(folder):
        write(folder, "created")
    return read(folder)


@pipeline
def after_in_block(folder: str):
    if not exists(folder):
        after(write(folder, "created"))
    return read(folder)


@pipeline
def effects_of_loop(folder: str, names: list[str]):
    for name in names:
        write(folder, name)
    return len(read_sorted(folder))


@pipeline
def effects_of_constants(folder: str):
    for name in ["a", "b", "c"]:
        write(folder, name)
    return read(folder)


@pipeline
def make_index(folder: str):
    write(folder, "index")


@pipeline
def use_index(folder: str):
    return read(folder)


@pipeline
def effects_of_parts(folder: str):
    make_index(folder)
    return use_index(folder)


@pipeline
def effects_after_try(folder: str, good: bool):
    try:
        check(folder, good)
        write(folder, "checked")
    except ValueError:
        write(folder, "refused")
    finally:
        write(folder, "closed")
    return read(folder)


@pipeline
def effects_of_items(folder: str, n: int):
    try:
        found = [num(x) for x in nums(n)]
        check(folder, sum(found) > 1)
    finally:
        write(folder, "closed")
    return read(folder)


@pipeline
def effects_at_once(folder: str):
    with parallel():
        write(folder, "one")
        write(folder, "one")
    return read(folder)


@pipeline
def effect_after_values(folder: str, n: int):
    first = nums(n)[0]
    write(folder, "reached")
    return read(folder), first


@pipeline
def effects_after_list(folder: str, names: list[str]):
    done = [write(folder, name) for name in names]
    return read_sorted.after(done)(folder) == sorted(names)
