"""Loops over items of the run that run no step, and carry values from one item to the next."""

from typing import Any, NamedTuple

from levada import pipeline, step


class Report(NamedTuple):
    name: str
    auc: float
    rows: list[int]


@step
def train(depth: int) -> Report:
    return Report(f"depth-{depth}", depth * 7 % 5 / 10, list(range(depth)))


@step
def num(x: int = 1) -> int:
    return x


@step
def nums(n: int = 3) -> list[int]:
    return list(range(n))


@step
def anything(x: Any) -> Any:
    return x


@pipeline
def best_and_total(depths: list[int]):
    best = None
    total = 0.0
    for report in [train(depth) for depth in depths]:
        total += report.auc
        if best is None or report.auc > best.auc:
            best = report
    if best is None:
        return "nothing", total
    return anything(best.rows), total


@pipeline
def first_that_fits(n: int):
    for x in nums(n):
        if x * x > 5:
            return x
    return num(-n)


@pipeline
def first_by_break(n: int):
    found = None
    for x in nums(n):
        if x * x > 5:
            found = x
            break
    else:
        found = num(100)
    return num(found + 1)


@pipeline
def counts_by_key(n: int):
    counts = {}
    seen = []
    for x in nums(n):
        key = f"k{x % 3}"
        counts[key] = counts.get(key, 0) + 1
        if key in seen:
            continue
        seen.append(key)
    return anything(counts), seen


@pipeline
def items_augmented(n: int):
    totals = {"even": 0, "odd": 0}
    for x in nums(n):
        totals["odd" if x % 2 else "even"] += x
    return num(totals["odd"]), totals


@pipeline
def running_total(n: int, start: int):
    total = start
    running = []
    for x in nums(n):
        if x == 1:
            continue
        total = total + 6 // (x + start)
        running.append(total)
    return running, num(total)


@pipeline
def two_at_once(n: int):
    before, now = 0, 1
    for _ in nums(n):
        before, now = now, before + now
    return num(now)


@pipeline
def nested_loops(n: int):
    pairs = []
    largest = 0
    others = nums(3)
    for x in nums(n):
        for y in others:
            if y > x:
                break
            if x * y >= largest:
                largest = x * y
                pairs = [*pairs, (x, y)]
    return pairs, num(largest)


@pipeline
def carried_in_fan_out(sizes: list[int]):
    totals = []
    for size in sizes:
        total = 0
        for x in nums(size):
            total += x
        totals.append(num(total))
    return totals


def longest(texts):
    found = ""
    for text in texts:
        if len(text) > len(found):
            found = text
    return found


@pipeline
def carried_in_function(n: int):
    return anything(longest([f"{x:0{x + 1}d}" for x in nums(n)]))


@pipeline
def guarded_division(n: int):
    shares = []
    for x in nums(n):
        if x > 0:
            share = 12 / x
            shares.append(share + share)
    return anything(shares)


@pipeline
def failing_handled(n: int):
    total = 0
    try:
        for x in nums(n):
            total += 10 // (2 - x)
    except ZeroDivisionError:
        return num(-1)
    return num(total)


@pipeline
def heads_and_tails(n: int):
    rows = [[x, x + 1, x + 2] for x in nums(n)]
    heads = []
    total = 0
    for head, *tail in rows:
        total += sum(tail)
        heads.append(head)
    return heads, num(total)


@pipeline
def else_of_inner_loop(n: int):
    xs = [num(x) for x in range(n)]
    primes = []
    count = 0
    for x in xs:
        for y in xs:
            if 1 < y < x and x % y == 0:
                break
        else:
            primes.append(x)
    for x in xs:
        for y in xs:
            if y > x:
                break
        else:
            count += x
    return primes, num(count)
