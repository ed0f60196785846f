"""Pipeline modules made at random from the language's statements, nested."""

from __future__ import annotations

from hypothesis import strategies as st

HEADER = """
from levada import pipeline, step

SIZES = [1, 2]

@step
def add(x, y=0):
    return x + y

@step
def many(n):
    return list(range(n % 4))

@step
def total(xs, start=0):
    return sum(xs, start)

@step
def pair(x) -> tuple[int, int]:
    return x, x + 1

@step
def fail(x):
    if x % 2:
        raise ValueError(f"odd {x}")
    return x

@pipeline
def part(n, size=1):
    r = add(n, size)
    out = [add(k) for k in SIZES if k > 1]
    if r > 3:
        r = total(out, start=n)
    return r

@pipeline
def flow(n: int = 1, xs: list[int] = [1, 2, 3]):
"""
#: What random pipelines are run with.
PARAMETERS = [
    {"n": 0, "xs": []},
    {"n": 1, "xs": [1, 2, 3]},
    {"n": 2, "xs": [4, 3, 0]},
    {"n": 5, "xs": [2]},
]
NUMBERS = ("a", "b", "c")
LISTS = ("p", "q")
LOOPS = (("i", "{}"), ("c", "{}"), ("i, a", "enumerate({})"), ("i, j", "zip({}, xs)"))

#: Where a number stands that may not be there, in modules with a handler.
SHAKY = "shaky"

number = st.sampled_from([*NUMBERS, "n", "0", "1", "2", SHAKY])
listing = st.sampled_from(
    [*LISTS, "xs", "xs[1:]", "xs[:n]", "SIZES", "many(n)", "range(n)", "[1, n, a]", "range(2)"]
)
name = st.sampled_from(NUMBERS)
list_name = st.sampled_from(LISTS)


@st.composite
def numbers(draw: st.DrawFn, depth: int = 0) -> str:
    """An expression that is a number, most often a step call."""
    form = draw(st.integers(0, 8))
    inner = number if depth else st.deferred(lambda: numbers(1))
    if form <= 2:
        return f"add({draw(inner)}, {draw(number)})"
    if form == 3:
        return f"fail({draw(inner)})"
    if form == 4:
        return f"total({draw(lists(1))})"
    if form == 5:
        return f"part({draw(number)})"
    if form == 6:
        return f"({draw(inner)} if {draw(conditions())} else {draw(inner)})"
    return draw(number)


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """An expression that decides."""
    form = draw(st.integers(0, 5))
    simple = f"{draw(number)} {draw(st.sampled_from(['<', '==', '>=']))} {draw(number)}"
    if form == 0:
        return f"not {simple}"
    if form == 1:
        return f"{simple} and add({draw(number)}) > 1"
    if form == 2:
        return f"{simple} or {draw(number)} in {draw(list_name)}"
    return simple


@st.composite
def lists(draw: st.DrawFn, depth: int = 0) -> str:
    """An expression that is a list."""
    form = draw(st.integers(0, 6))
    if form == 0:
        return f"[{draw(number)}, {draw(number)}]"
    if form == 1:
        return f"[add(i, {draw(number)}) for i in {draw(listing)}]"
    if form == 2:
        return f"[i for i in {draw(listing)} if i > {draw(number)} if add(i) != 2]"
    if form == 3 and not depth:
        return f"[add(i, j) for i in {draw(listing)} if i for j in {draw(listing)}]"
    if form == 4:
        return f"many({draw(number)})"
    if form == 5 and not depth:
        return f"({draw(list_name)} if {draw(conditions())} else {draw(lists(1))})"
    return draw(st.sampled_from([*LISTS, "xs", "[]", "p + q", "[*p, n]", "xs[n:]"]))


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def blocks(draw: st.DrawFn, depth: int) -> list[str]:
    """One to four statements."""
    count = draw(st.integers(1, 4))
    return [line for _ in range(count) for line in draw(statements(depth))]


@st.composite
def statements(draw: st.DrawFn, depth: int) -> list[str]:
    """One statement."""
    form = draw(st.integers(0, 13 if depth < 3 else 7))
    if form <= 2:
        return [f"{draw(name)} = {draw(numbers())}"]
    if form == 3:
        return [f"{draw(list_name)} = {draw(lists())}"]
    if form <= 5:
        return [f"{draw(list_name)}.append({draw(numbers())})"]
    if form == 6:
        return [f"{draw(list_name)} += {draw(lists())}"]
    if form == 7:
        return [draw(st.sampled_from(["p, q = q, p", "a, b = b, a", "a, b = pair(c)", "a += n"]))]
    if form <= 9:
        tail = ["else:", *indented(draw(blocks(depth + 1)))] if draw(st.booleans()) else []
        return [f"if {draw(conditions())}:", *indented(draw(blocks(depth + 1))), *tail]
    if form <= 11:
        target, items = draw(
            st.sampled_from(
                [("i", "{}"), ("c", "{}"), ("i, a", "enumerate({})"), ("i, j", "zip({}, xs)")]
            )
        )
        body = draw(blocks(depth + 1))
        return [f"for {target} in {items.format(draw(listing))}:", *indented(body)]
    parts = ["try:", *indented(draw(blocks(depth + 1)))]
    if form == 12 or draw(st.booleans()):
        parts += ["except Exception:", *indented(draw(blocks(depth + 1)))]
        if draw(st.integers(0, 3)) == 0:
            parts += ["else:", *indented(draw(blocks(depth + 1)))]
    if form == 13:
        parts += ["finally:", *indented(draw(blocks(depth + 1)))]
    return (
        parts
        if len(parts) > 2 and any(p in ("except Exception:", "finally:") for p in parts)
        else draw(statements(3))
    )


@st.composite
def modules(draw: st.DrawFn) -> str:
    """The text of a module with the pipeline `flow(n, xs)`."""
    first = st.sampled_from(["n", "0", "1", "add(n)", "part(n)", "add(n, 1)"])
    start = [f"{item} = {draw(first)}" for item in NUMBERS]
    start += [
        f"{item} = {draw(st.sampled_from(['[]', '[n]', '[add(i) for i in xs]']))}" for item in LISTS
    ]
    body = draw(blocks(0))
    shaky = draw(st.sampled_from(["n", "(6 // n)", "xs[n]", "xs[0]", "(10 // xs[1])"]))
    if shaky != "n":
        body += ["try:", "    a = add(a)", "except Exception:", "    a = 0"]
    end = [f"return {draw(st.sampled_from(['a, b, c, p, q', 'a', 'p', 'c, q']))}"]
    text = "\n".join(indented([*start, *body, *end])).replace(SHAKY, shaky)
    return f"{HEADER}{text}\n"
