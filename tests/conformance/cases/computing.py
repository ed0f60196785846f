"""Values of steps that a pipeline computes with itself."""

import json
import math
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from levada import pipeline, step


class Pair(NamedTuple):
    a: int
    b: int


@step
def num(x: int = 1) -> int:
    return x


@step
def nums(n: int = 3) -> list[int]:
    return list(range(n))


@step
def pair(x: int = 1) -> Pair:
    return Pair(x, x + 1)


@step
def table() -> dict[str, int]:
    return {"a": 1, "b": 2}


@step
def text(s: str) -> str:
    return s


@step
def ratio(x: int) -> float:
    return x / 3


@pipeline
def compute_arithmetic(x: int):
    n = num(x)
    return num(n + 1), num(n * 2 - 3), num(-n), num(n**2 % 7), num(n // 2)


@pipeline
def compute_index():
    xs = nums(4)
    return num(xs[0]), num(xs[-1]), num(pair(5)[1])


@pipeline
def compute_slice():
    return nums(len(nums(5)[1:3])), sum(nums(4)[::2])


@pipeline
def compute_key():
    t = table()
    return num(t["b"]), num(t.get("c", 7))


@pipeline
def compute_attribute():
    p = pair(3)
    return num(p.a * p.b)


@pipeline
def compute_text():
    s = text("y")
    return text("x" + s), text(s.upper()), text(s * 3), text(", ".join([s, "z"]))


@pipeline
def compute_format(x: int):
    r = ratio(x)
    return text(f"{r:.2f}"), text(f"{num(x):03d}"), text(f"{r!r:>22}")


@pipeline
def compute_choice():
    a, b = num(1), num(2)
    best = a if a > b else b
    return num(best), num(a and b), num(0 or b)


@pipeline
def compute_extremes():
    xs = nums(5)
    return num(max(xs)), num(min(xs, default=9)), num(max(num(1), num(2), 3))


@pipeline
def compute_by_key():
    xs = nums(5)
    return num(max(xs, key=lambda x: -x)), nums(sorted(xs, key=lambda x: x % 3)[0])


@pipeline
def compute_sorted():
    t = table()
    ranked = sorted(t.items(), key=lambda item: item[1], reverse=True)
    return text(ranked[0][0]), sorted(t)


@pipeline
def compute_totals():
    xs = nums(4)
    return sum(xs), sum(x * x for x in xs), any(x > 2 for x in xs), all(xs), len(xs)


@pipeline
def compute_lists():
    xs = nums(3)
    return [*xs, 7], xs + [8], list(reversed(xs)), [x + 1 for x in xs if x]


@pipeline
def compute_dicts():
    t = table()
    return {k: v + 1 for k, v in t.items()}, {**t, "c": 3}, list(t.values())


@pipeline
def compute_zip():
    xs = nums(3)
    return [num(x + y) for x, y in zip(xs, reversed(xs))], dict(zip(["a", "b"], xs))


@pipeline
def compute_json():
    return text(json.dumps(table())), json.loads(text('{"k": [1]}'))["k"]


@pipeline
def compute_math(x: int):
    n = num(x)
    return math.floor(ratio(n)), math.gcd(n, 4), round(ratio(n), 2), abs(num(-n)), int("12") + n


@pipeline
def compute_chain(x: int):
    n = num(x)
    if 1 < n <= 5 and not n == 4:
        return text("in")
    return text("out")


@pipeline
def compute_truth(n: int):
    xs = nums(n)
    if xs:
        return num(len(xs))
    return num(-1)


@pipeline
def compute_walrus(x: int):
    if (n := num(x)) > 2:
        return num(n * 10)
    return n


@pipeline
def compute_clock(x: int):
    started = datetime.now()
    n = num(x)
    took = datetime.now() - started
    shown = text(started.isoformat()[:0] + f"{math.pi:.2f}")
    is_utc = datetime.now(UTC).utcoffset().total_seconds() == 0
    return n, took.total_seconds() >= 0, shown, is_utc


@pipeline
def compute_identifiers():
    names = [str(uuid.uuid4()) for _ in range(2)]
    is_later = date.today().year > 2000 and time.time() > 1e9
    return len(set(names)), num(len(names[0])), is_later, len(time.strftime("%Y%m%d"))


@pipeline
def compute_shared(x: int):
    doubled = num(x) * 2
    return num(doubled), num(doubled + 1), doubled


@pipeline
def compute_in_branch(x: int):
    n = num(x)
    if n > 1:
        n = n * 2
    if n > 3:
        n = n + 1
    return num(n)


@pipeline
def walrus_in_operands(n: int):
    if n and (a := num(n)) and (b := num(a + 1)) > 2 and a < b:
        return num(a + b)
    elif not (n == 0 or (c := num(n * 10)) > 15):
        return c
    picked = d * 2 if n > 1 and (d := num(n)) else -1
    assert n < 3 and (e := num(n + 5)) > 2, f"{n} is large"
    return picked + e


@pipeline
def walrus_in_loop(xs: list[int]):
    found = []
    for x in xs:
        if x > 1 and (y := num(x)) != 3 and (s := f"{y:03d}"):
            found.append(text(s))
            continue
        found.append(str(x))
    if not found or (longest := max(found, key=len)) == "1":
        return "short", found
    return longest, found


@step
def length(gap: timedelta, unit: timedelta) -> float:
    return gap / unit


@pipeline
def compute_gaps(day: date, start: datetime):
    gap = day - date(2024, 1, 1)
    later = start - datetime(2024, 1, 1)
    share = gap / timedelta(days=7)
    whole = later // timedelta(hours=1)
    weeks = length(gap, timedelta(days=7))
    return (
        gap.days,
        later.total_seconds(),
        share.is_integer(),
        whole.bit_length(),
        num(gap.days),
        weeks,
    )
