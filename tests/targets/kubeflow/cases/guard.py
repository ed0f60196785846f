"""`try` with a handler and a `finally`."""

from levada import pipeline, step


@step
def fetch(url: str) -> str:
    if url == "bad":
        raise ValueError(url)
    return url


@step
def parse(text: str) -> list[str]:
    return text.split()


@step
def fallback(url: str) -> list[str]:
    return [url]


@step
def close(url: str) -> None:
    print(url)


@step
def use(words: list[str]) -> int:
    return len(words)


@pipeline
def guard(url: str = "https://example.com"):
    try:
        words = parse(fetch(url))
    except Exception:
        words = fallback(url)
    finally:
        close(url)
    return use(words)
