"""A pipeline within a pipeline, twice, and a fan-out within a branch."""

from levada import after, pipeline, step


@step
def clean(region: str) -> str:
    return region.strip()


@step
def size(region: str) -> int:
    return len(region)


@step
def total(sizes: list[int]) -> int:
    return sum(sizes)


@step
def archive() -> None:
    print("archived")


@pipeline
def one_region(region: str):
    """Clean one region and measure it."""
    cleaned = clean(region)
    return size(cleaned)


@pipeline
def groups(extra: list[str] = ["north", "south"], everything: bool = True):
    first = one_region("east")
    second = one_region("west")
    sizes = [first, second]
    if everything:
        more = [size(region) for region in extra]
        result = total(more)
    else:
        result = total(sizes)
    after(result)
    archive()
    return result
