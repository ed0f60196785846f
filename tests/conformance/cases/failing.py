"""Failures that a pipeline raises, tells apart and handles."""

from levada import pipeline, step


class TooOddError(ValueError):
    pass


@step
def num(x: int = 1) -> int:
    return x


@step
def fail(kind: str) -> int:
    if kind == "odd":
        raise TooOddError("odd", 3)
    if kind == "value":
        raise ValueError("no value")
    if kind == "key":
        raise KeyError("k")
    if kind == "time":
        raise TimeoutError("late")
    return 0


@step
def rows(n: int) -> list[int]:
    return list(range(n))


@step
def say(message: str) -> str:
    return message


@step(cache=False)
def note(x: object) -> None:
    return None


@pipeline
def fail_raise(n: int):
    found = rows(n)
    if not found:
        raise ValueError(f"no rows of {n}")
    return num(len(found))


@pipeline
def fail_assert(n: int):
    found = rows(n)
    assert len(found) > 1, "too few"
    return num(found[1])


@pipeline
def fail_after_raise(n: int):
    note(n)
    if num(n) > 2:
        raise TooOddError("large", n)
    note("passed")


@pipeline
def fail_typed(kind: str):
    try:
        n = fail(kind)
    except ValueError:
        n = num(2)
    return n


@pipeline
def fail_clauses(kind: str):
    try:
        said = say(str(fail(kind)))
    except TooOddError:
        said = say("odd")
    except (KeyError, IndexError):
        said = say("lookup")
    except Exception:
        said = say("other")
    return said


@pipeline
def fail_text(kind: str):
    try:
        said = say(str(fail(kind)))
    except Exception as e:
        said = say(f"{type(e).__name__}: {e}")
    return said


@pipeline
def fail_arguments():
    try:
        n = fail("odd")
    except ValueError as e:
        n = num(e.args[1])
    return n


@pipeline
def fail_timeout():
    try:
        n = fail("time")
    except TimeoutError as e:
        n = num(len(str(e)))
    return n


@pipeline
def fail_again(kind: str):
    try:
        n = fail(kind)
    except ValueError as e:
        note(str(e))
        raise
    return n


@pipeline
def fail_other(kind: str):
    try:
        n = fail(kind)
    except KeyError as e:
        raise TooOddError("was a key") from e
    return n


@pipeline
def fail_raise_caught(n: int):
    try:
        if num(n) > 1:
            raise TooOddError("large")
        said = say("small")
    except TooOddError as e:
        said = say(str(e))
    return said


@pipeline
def fail_expression(n: int):
    found = rows(n)
    try:
        first = found[0]
    except IndexError:
        first = -1
    return num(first)


@pipeline
def fail_division(n: int):
    try:
        share = 10 // num(n)
    except ZeroDivisionError as e:
        share = len(str(e))
    return num(share)


@pipeline
def fail_else(kind: str):
    try:
        fail(kind)
    except KeyError:
        said = say("key")
    else:
        said = say("fine")
    return said


@pipeline
def fail_finally(kind: str):
    try:
        n = fail(kind)
    finally:
        note("closed")
    return n


@pipeline
def fail_finally_values(kind: str):
    ok = False
    try:
        fail(kind)
        ok = True
    finally:
        note(ok)


@pipeline
def fail_in_loop(kinds: list[str]):
    found = []
    for kind in kinds:
        try:
            n = fail(kind)
        except ValueError:
            n = num(5)
        found.append(n)
    return found


@pipeline
def fail_items(n: int):
    try:
        total = sum([fail("key") if x else num(x) for x in rows(n)])
    except KeyError:
        total = num(-1)
    return total


@pipeline
def fail_unpack(n: int):
    try:
        a, b = rows(n)
        said = say(f"{a} {b}")
    except ValueError as e:
        said = say(str(e))
    return said


@pipeline
def fail_nested(kind: str):
    try:
        try:
            n = fail(kind)
        except KeyError:
            n = fail("value")
        finally:
            note("inner")
    except ValueError as e:
        n = num(len(str(e)))
    return n


@pipeline
def fail_clauses_return(kind: str):
    try:
        n = fail(kind)
    except KeyError as e:
        return f"key {e}"
    except ValueError as e:
        note(str(e))
        return f"value {e}"
    return f"none {n}"


@pipeline
def fail_clauses_continue(kinds: list[str]):
    found, failed = [], []
    for kind in kinds:
        try:
            n = fail(kind)
        except KeyError:
            continue
        except (ValueError, TimeoutError) as e:
            failed.append(say(str(e)))
            continue
        found.append(n)
    return found, failed


@pipeline
def fail_clauses_jump(kind: str):
    total = 0
    for step_kind in ["none", kind, "none"]:
        try:
            n = fail(step_kind)
        except KeyError:
            continue
        except TimeoutError:
            note("late")
            break
        except ValueError:
            return "value", total
        total += n + 1
    return "end", total


@pipeline
def fail_gave_up(n: int):
    tries = 0
    last = None
    for attempt in [0, 1, 2]:
        tries += 1
        try:
            last = fail("key") if attempt < n else num(attempt)
            break
        except KeyError:
            note(attempt)
    else:
        raise RuntimeError(f"gave up after {tries}")
    return tries, last


@pipeline
def fail_filled(kinds: list[str]):
    found = []
    try:
        for kind in kinds:
            found.append(fail(kind))
    except KeyError as e:
        return f"failed by {e}"
    else:
        note("filled")
    finally:
        note("closed")
    return found
