"""Lists that a pipeline makes go into another one, and out of it, within other values."""

from levada import pipeline, step


@step
def even(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


@step
def more(x: int) -> int:
    return x + 1


@pipeline
def made_even(x: int):
    try:
        y = even(x)
    except Exception:
        y = more(x)
    return y


@pipeline
def each(given: object, times: list[int]):
    xs, (least,) = given
    out = []
    for t in times:
        if t > least:
            out.append(made_even(t))
        else:
            out.append(made_even(least))
    return out, made_even(least), xs


@pipeline
def sub_pipeline_lists(xs: list[int] = [1, 2], times: list[int] = [0, 3], once: bool = False):
    seen = [more(7)]
    found = []
    if once:
        last, again, back = each((seen, [2]), [7])
    else:
        for x in xs:
            try:
                got, first, _ = each((seen, [x]), times)
            finally:
                more(x)
            found.append(got)
            found.append([first])
        last, again, back = each((seen, [1]), times)
    end = made_even(again)
    return found, last, end, back
