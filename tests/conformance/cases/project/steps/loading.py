from levada import step

LIMIT = 3


def letters(name: str) -> list[str]:
    return sorted(set(name))


@step
def load(name: str, limit: int = LIMIT) -> list[str]:
    return letters(name)[:limit]
