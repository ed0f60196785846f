"""Parts of parameters and of constants, as items, as inputs and in a decision."""

from levada import pipeline, step

LETTERS = ["a", "b", "c"]


@step
def same(*values: object) -> list[object]:
    return list(values)


@pipeline
def slices(sizes: list[int] = [1, 2, 3], count: int = 2, name: str = "levada", table: dict = {}):
    rest = sizes[1:]
    rest.append(count)
    ends = [same(size) for size in sizes[-count:]]
    rows = [same(row[:1], row[::-1]) for row in [sizes, [4, 5, 6]][:count]]
    if sizes[count:] or name[:1] == "x":
        found = same(name[1:-1], LETTERS[count:], table)
    else:
        found = same("nothing", {"count": count})
    return rest, ends, rows, found
