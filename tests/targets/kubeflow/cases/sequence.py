"""Steps one after the other, with everything that a task takes from its settings."""

from levada import Retry, pipeline, step


@step(retry=Retry(3, delay=30, backoff=2, max_delay=600), timeout="2h", pool="warehouse", priority=5)
def load(path: str, *, strict: bool = True) -> list[int]:
    """Read the rows.

    A row that cannot be read is an error if `strict`.
    """
    return [len(path)] * 3


@step(cache=False, environment={"MODE": "{{ not a template }}"}, secrets={"TOKEN": "warehouse/token"})
def count(rows: list[int]) -> int:
    return len(rows)


@step
def tell(text: str) -> None:
    print(text)


@pipeline(
    schedule="30 6 * * 1-5",
    timezone="Europe/Paris",
    start_date="2026-01-05",
    max_active_runs=1,
    max_parallel=4,
    owner="data-science",
    tags=["nightly", "rows"],
    retry=1,
)
def sequence(path: str = "data.csv", strict: bool = True):
    """Count the rows of a file.

    Runs on working days.

    Args:
        path: The file to read.
        strict: Whether a bad row is an error.
    """
    rows = load(path, strict=strict)
    total = count(rows)
    tell(f"{path}: {total} rows, 100% {{of}} 'them'")
