"""What a `finally` raises takes the place of the exception before it: a handler sees only that."""

from levada import pipeline, step


@step
def bad(value: int) -> int:
    if value > 1:
        raise ValueError(f"bad {value}")
    return value


@step
def key(value: int) -> int:
    if value > 2:
        raise KeyError(f"key {value}")
    return value


@step
def say(text: str) -> str:
    return text


@pipeline
def finally_replaces(n: int = 3, values: list[int] = [1, 2, 3]):
    said = say("nothing")
    try:
        try:
            bad(n)
        finally:
            key(n)
    except KeyError as error:
        said = say(f"key: {error}")
    except ValueError as error:
        said = say(f"value: {error}")
    out = []
    for value in values:
        try:
            try:
                bad(value)
            finally:
                key(value)
            found = say("fine")
        except KeyError:
            found = say("key")
        except ValueError:
            found = say("value")
        out.append(found)
    return said, out
