"""Where a pipeline returns, what it returns, and what it chooses by `match`."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from levada import pipeline, step


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


class Range(NamedTuple):
    low: int
    high: int


@dataclass
class Report:
    name: str
    score: int


@step
def num(x: int = 1) -> int:
    return x


@step
def maybe(x: int) -> int | None:
    return x or None


@step
def text(s: str) -> str:
    return s


@step(cache=False)
def note(x: object) -> None:
    return None


@pipeline
def return_early(n: int):
    if n > 5:
        return num(5)
    note(n)
    return num(n)


@pipeline
def return_by_output(n: int):
    found = num(n)
    if found > 5:
        return text("large")
    if found > 2:
        note(found)
        return text("middle")
    return text("small")


@pipeline
def return_from_try(n: int):
    try:
        if num(n) > 1:
            return num(10 // n)
    except ZeroDivisionError:
        return num(-1)
    return num(7)


@pipeline
def return_from_loop(n: int):
    for limit in [1, 3, 5]:
        if num(n) < limit:
            return num(limit)
    return num(0)


@pipeline
def return_dict(n: int):
    return {"one": num(n), "two": n + 1, "three": [num(2)]}


@pipeline
def return_dicts(n: int):
    found = num(n)
    if found > 5:
        return {"one": found, "the other": 0, "more": [text("large")]}
    for x in [num(2), num(n)]:
        if x == 1:
            return {"one": x, "the other": n, "more": []}
    return {"one": num(0), "the other": found + 1, "more": None}


@pipeline
def return_dicts_of_sub(n: int):
    found = return_dicts(n)
    return num(found["one"]), found


@pipeline
def return_namedtuple(n: int):
    low = num(n)
    return Range(low, high=low + 1)


@pipeline
def return_dataclass(n: int):
    return Report(name=text("a"), score=num(n) * 2)


@pipeline
def return_computed(n: int):
    a = num(n)
    return a * 2, a > 1, f"<{a}>"


@pipeline
def match_text(mode: str):
    match mode:
        case "a":
            n = num(1)
        case "b" | "c":
            n = num(2)
        case _:
            n = num(3)
    return n


@pipeline
def match_output(x: int):
    match num(x):
        case 0:
            said = text("none")
        case 1 | 2:
            said = text("few")
        case n if n > 10:
            said = text(f"many: {n}")
        case _:
            said = text("some")
    return said


@pipeline
def match_none(x: int):
    match maybe(x):
        case None:
            return text("nothing")
        case found:
            return text(f"found {found}")


@pipeline
def match_enum(mode: Mode):
    match mode:
        case Mode.FAST:
            return num(1)
        case Mode.SLOW:
            return num(2)


@pipeline
def branch_without_task(cpu_only: bool, four_bit: bool = True):
    if cpu_only:
        four_bit = False
    return text(str(four_bit))


@pipeline
def branch_one_name(x: int):
    n = num(x)
    label = "small"
    if n > 2:
        label = text("large")
        note(label)
    return text(label + "!")


@pipeline
def loop_break(n: int):
    total = 0
    for k in [1, 2, 3]:
        if num(n) < k:
            break
        total = total + num(k)
    return total


@pipeline
def loop_continue(xs: list[int]):
    found = []
    for x in xs:
        if x == 1:
            continue
        found.append(num(x))
    return found


@pipeline
def loop_else_continue(xs: list[int]):
    found = []
    for x in xs:
        for k in [2, 3]:
            if num(x) % k == 0:
                break
        else:
            continue
        found.append((x, k))
        note(x)
    return found


@pipeline
def checked_in_loops(xs: list[int], ys: list[int]):
    found = []
    for x in xs:
        half = 10 / num(x)
        if x > 1:
            note(x)
        for y in ys:
            part = 10 / num(y - x)
            if y > x + 1:
                note(y)
            found.append(part)
        found.append(half)
    return found


@pipeline
def loop_else_break(n: int):
    out = 0
    for k in [1, 2, 3]:
        for x in [2, 3]:
            if num(x) == n * k:
                break
            if num(x) == n * k - 1:
                return "early", out
        else:
            if num(k) == 2:
                break
        out += 1
    else:
        note("whole")
    return out, k


@pipeline
def loop_raise(n: int):
    found = -1
    for k in [1, 2, 3]:
        x = num(k)
        if x == n:
            found = x * 10
            break
        if k == 3:
            raise LookupError(f"no {n}")
    return num(found)


@pipeline
def return_filled(n: int):
    out = []
    for k in [1, 2, 3]:
        x = num(k * n)
        if x > 5:
            return "large", out
        out.append(x)
    return "all", out
