"""What is tried again and what is not, told by the number of the attempt."""

from levada import PermanentError, Retry, context, pipeline, step


@step(retry=Retry(2, delay=1))
def flaky(text: str) -> int:
    if context().attempt == 1:
        raise OSError("not yet")
    return context().attempt


@step(retry=2)
def hopeless(text: str) -> int:
    raise PermanentError(text)


@step
def instead(text: str) -> str:
    return text


@pipeline
def retries(text: str = "never"):
    attempt = flaky(text)
    try:
        outcome = hopeless(text)
    except Exception:
        outcome = instead(text)
    return attempt, outcome
