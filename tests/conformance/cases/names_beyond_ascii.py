"""Names that Python takes and that a pattern of ASCII letters does not find."""

from levada import pipeline, step


@step
def count(n: int) -> list[int]:
    return list(range(n))


@step
def add_one(x: int) -> int:
    return x + 1


@pipeline
def names_beyond_ascii(n: int = 4):
    values = count(n)
    try:
        été = values[1] // (n - 3)
    except Exception:
        été = -1
    out = []
    for i in values:
        try:
            a·b = 6 // (i + n - 3)
        except Exception:
            a·b = -1
        out.append(add_one(a·b))
    return add_one(été), out
