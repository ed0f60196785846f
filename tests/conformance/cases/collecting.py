"""Lists and dicts that a pipeline makes of what steps return."""

from itertools import product
from typing import Any

from levada import pipeline, step

SPACE = {"a": 1, "b": 2}
SETTINGS = {"train": {"lr": 3}, "models": ["a", "b"]}


@step
def num(x: int = 1) -> int:
    return x


@step
def nums(n: int = 3) -> list[int]:
    return list(range(n))


@step
def pair(x: int) -> tuple[int, int]:
    return x, x + 1


@step
def table() -> dict[str, int]:
    return {"a": 1, "b": 2}


@step
def anything(x: Any) -> Any:
    return x


@step
def count(*xs: int, **named: int) -> int:
    return sum(xs) + sum(named.values())


@step
def area(a: int, b: int) -> int:
    return a * b


@pipeline
def dict_built():
    outs = {}
    outs["a"] = num(1)
    outs["b"] = num(2)
    return anything(outs), outs["a"]


@pipeline
def dict_of_constants():
    return anything({name: num(i) for i, name in enumerate(["a", "b"])})


@pipeline
def dict_of_outputs(n: int):
    return {f"k{x}": num(x) for x in nums(n)}


@pipeline
def dict_items(space: dict[str, int]):
    return [anything([k, num(v)]) for k, v in space.items()]


@pipeline
def dict_items_of_output():
    return [num(v * 2) for k, v in table().items() if k != "a"]


@pipeline
def dict_loop():
    out = {}
    for k, v in SPACE.items():
        out[k] = num(v)
    return anything(out)


@pipeline
def dict_constant():
    return num(SETTINGS["train"]["lr"]), anything(SETTINGS["models"][0])


@pipeline
def list_grown(more: bool):
    xs = [num(1)]
    if more:
        xs = xs + [num(2)]
    return sum(xs)


@pipeline
def list_indexed(n: int):
    outs = [num(i) for i in range(n)]
    return num(outs[0]), num(outs[-1])


@pipeline
def list_item_set():
    out = [None, None]
    out[0] = num(1)
    out[1] = num(2)
    return anything(out)


@pipeline
def list_sorted(n: int):
    found = []
    for x in nums(n):
        found.append(num(5 - x))
    found.sort()
    found.insert(1, n)
    ranks = []
    for x in found:
        ranks.append(-x)
        ranks.sort()
    found.reverse()
    return anything(found), found[0], ranks


@pipeline
def list_of_product():
    return [num(a * b) for a, b in product([1, 2], [3, 4])]


@pipeline
def list_of_grid(lrs: list[float], seeds: list[int]):
    return [anything({"lr": lr, "seed": seed}) for lr in lrs for seed in seeds]


@pipeline
def list_filtered(n: int):
    return sum([num(x) for x in nums(n) if x > 1])


@pipeline
def list_zipped(xs: list[int], ys: list[int]):
    return [num(i + x + y) for i, (x, y) in enumerate(zip(xs, ys))]


@pipeline
def unpack_known():
    first, *rest = [num(1), num(2), num(3)]
    return num(first), sum(rest)


@pipeline
def unpack_rest(n: int):
    first, *rest = nums(n)
    head, *middle, tail = nums(n)
    rest.append(head)
    return num(first), [num(x) for x in rest], middle, tail


@pipeline
def unpack_output(x: int):
    a, b = pair(x)
    a, b = b, a
    return num(a), b


@pipeline
def unpack_items():
    return [num(a + b) for a, b in [pair(x) for x in nums(2)]]


@pipeline
def unpack_columns(xs: list[int]):
    outs = [pair(x) for x in xs]
    a, b = zip(*outs)
    return sum(a), sum(b)


@pipeline
def unpack_arguments(n: int):
    return count(*nums(n), last=num(1)), area(**table())


@pipeline
def mean_of_folds(n: int):
    means = []
    for x in nums(n):
        folds = [num(x * k) for k in range(2)]
        means.append(sum(folds) / len(folds))
    return means, means.index(max(means))
