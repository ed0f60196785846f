"""Sub-pipelines with loops and handlers in exit tasks and in handlers, called in a loop."""

from levada import pipeline, step


@step
def work(n: int) -> int:
    if n % 2:
        raise ValueError(n)
    return n


@step
def plan(n: int) -> list[int]:
    return list(range(n + 1))


@step
def undo(n: int, why: str = "x") -> str:
    if why == "worse":
        raise OSError(n)
    return f"undo {n} {why}"


@step
def join(texts: list[str]) -> str:
    return ";".join(texts)


@pipeline
def clean(n: int, why: str):
    texts = []
    for i in plan(n):
        try:
            texts.append(undo(i, why))
        except Exception:
            texts.append(undo(i, "again"))
    return join(texts)


@pipeline
def sub_pipeline_in_finally(ns: list[int] = [1, 2], why: str = "x"):
    all_texts = []
    for n in ns:
        try:
            w = work(n)
            text = undo(w)
        except Exception:
            text = clean(n, why)
        finally:
            clean(n, "final")
        all_texts.append(text)
    return join(all_texts)
