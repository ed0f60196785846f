"""Expressions that raise where they are assigned, and not where they are used."""

from levada import pipeline, step


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def show(*values: object) -> str:
    return repr(values)


@pipeline
def shown(value: int, other: int):
    try:
        text = show(value, other)
    except Exception:
        text = show("not handled here")
    return text


@pipeline
def failing_expression(
    xs: list[int] = [1, 0, 2], place: int = 1, count: int = 2, table: dict = {}
):
    shares = []
    for x in xs:
        try:
            share = 10 // x
        except Exception:
            share = -1
        shares.append(share)
    try:
        item = xs[place]
        text = shown(item, xs[place + 1])
    except Exception:
        item, text = 0, "none"
    made = numbers(count)
    try:
        low, high = made
        label = f"{text:>8}|{table['key']:d}"
    except Exception:
        low = high = item
        label = "no label"
    if count > 3:
        late = table["late"]
        try:
            label = show(late)
        except Exception:
            label = show("not handled either")
    return shares, item, text, low, high, label
