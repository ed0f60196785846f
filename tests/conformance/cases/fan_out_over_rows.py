"""Loops over lists of lists that an earlier fan-out gave, row by row and item by item."""

from levada import pipeline, step


@step
def double(value: int) -> int:
    return 2 * value


@step
def total(values: list[int]) -> int:
    return sum(values)


@pipeline
def fan_out_over_rows(rows: list[list[int]] = [[1, 2], [3], []]):
    doubled = [[double(value) for value in row] for row in rows]
    totals = [total(row) for row in doubled]
    flat = [double(value) for row in doubled for value in row]
    pairs = [(row, total(row)) for row in doubled if row]
    return totals, flat, [total([size, *[1]]) for _, size in pairs]
