"""All three parts; the handler may fail as well."""

from levada import pipeline, step


@step
def attempt(fail: bool) -> str:
    if fail:
        raise OSError("attempt")
    return "attempted"


@step
def rescue(fail: bool) -> str:
    if fail:
        raise OSError("rescue")
    return "rescued"


@step
def close(note: str) -> str:
    return note


@step
def finish(state: str) -> str:
    return state + ", finished"


@pipeline
def try_except_finally(first: bool = True, second: bool = False):
    try:
        state = attempt(first)
    except:
        state = rescue(second)
    finally:
        close("closed")
    return finish(state)
