"""A guard in a guard: the inner one passes on what it does not catch."""

from levada import pipeline, step


@step
def inner(fail: bool) -> int:
    if fail:
        raise ValueError("inner")
    return 1


@step
def middle(value: int, fail: bool) -> int:
    if fail:
        raise ValueError("middle")
    return value + 1


@step
def note(text: str) -> str:
    return text


@step
def stand_in(value: int) -> int:
    return value


@pipeline
def try_nested(fail_inner: bool = True, fail_middle: bool = False):
    try:
        try:
            value = inner(fail_inner)
        finally:
            note("inner is over")
        result = middle(value, fail_middle)
    except Exception:
        result = stand_in(-1)
    finally:
        note("all is over")
    return stand_in(result)
