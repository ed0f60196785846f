"""Loops of which one iteration, or a few, run at a time."""

from levada import Loop, pipeline, step


@step
def migrate(table: str, mode: str) -> str:
    if table == "bad":
        raise ValueError(table)
    return f"{table} {mode}"


@step
def count(table: str) -> int:
    return len(table)


@pipeline
def loop_order(tables: list[str] = ["b", "a"]):
    done = [migrate(table, mode="full") for table in Loop(tables, max_parallel=1)]
    sizes = [count(name) for name in Loop(done, max_parallel=2)]
    return done, sizes
