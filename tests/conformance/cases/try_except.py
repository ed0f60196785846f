"""The handler's outputs stand in for those of the body."""

from levada import pipeline, step


@step
def fetch(url: str) -> str:
    if "bad" in url:
        raise ConnectionError(url)
    return f"fetched {url}"


@step
def parse(text: str) -> list[str]:
    return text.split()


@step
def fallback(url: str) -> list[str]:
    return ["fallback", url]


@step
def use(words: list[str]) -> int:
    return len(words)


@pipeline
def try_except(url: str = "good"):
    try:
        text = fetch(url)
        words = parse(text)
    except Exception:
        words = fallback(url)
    return use(words), words
