"""`finally` runs after success and after failure; the failure stays one."""

from levada import pipeline, step


@step
def acquire(name: str) -> str:
    return f"lock {name}"


@step
def work(lock: str, fail: bool) -> str:
    if fail:
        raise ValueError("no luck")
    return f"worked under {lock}"


@step
def follow(text: str) -> str:
    return text + " and followed"


@step
def release(lock: str, name: str) -> str:
    return f"released {lock} of {name}"


@pipeline
def try_finally(name: str = "n", fail: bool = False):
    lock = acquire(name)
    try:
        worked = work(lock, fail)
        followed = follow(worked)
    finally:
        release(lock, name)
    return followed
