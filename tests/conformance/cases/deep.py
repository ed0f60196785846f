"""Everything in everything: branch in loop in guard in branch."""

from levada import pipeline, step


@step
def probe(value: int) -> int:
    return value


@step
def risky(value: int) -> int:
    if value == 13:
        raise ValueError("unlucky")
    return value * 2


@step
def tame(value: int) -> int:
    return value


@step
def total(values: list[int]) -> int:
    return sum(values)


@step
def give_up(reason: str) -> int:
    return -1


@step
def note(text: str) -> str:
    return text


@pipeline
def deep(values: list[int] = [1, 6, 20], run: bool = True):
    if run:
        try:
            out = []
            for value in values:
                seen = probe(value)
                if seen > 5:
                    out.append(risky(seen))
                else:
                    out.append(tame(seen))
            result = total(out)
        except Exception:
            result = give_up("failed")
        finally:
            note("over")
    else:
        result = give_up("not wanted")
    return result
