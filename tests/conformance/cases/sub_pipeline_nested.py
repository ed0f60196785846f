"""A sub-pipeline in a fan-out and in a branch, with a branch and a guard of its own."""

from levada import pipeline, step


@step
def load(region: str) -> int:
    if region == "mars":
        raise LookupError(region)
    return len(region)


@step
def guess(region: str) -> int:
    return 0


@step
def enlarge(rows: int) -> int:
    return rows * 10


@step
def total(rows: list[int]) -> int:
    return sum(rows)


@step
def stop(reason: str) -> int:
    return -1


@pipeline
def one_region(region: str, least: int):
    try:
        rows = load(region)
    except Exception:
        rows = guess(region)
    if rows < least:
        rows = enlarge(rows)
    return rows


@pipeline
def sub_pipeline_nested(regions: list[str] = ["eu", "asia", "mars"], enabled: bool = True):
    if enabled:
        rows = [one_region(region, 4) for region in regions]
        result = total(rows)
    else:
        result = stop("disabled")
    return result
