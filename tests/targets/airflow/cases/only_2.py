"""A pipeline for Airflow 2 alone, with what only that has: an SLA of each task."""

from levada import Retry, pipeline, step


@step(retry=Retry(2, delay=1), sla="1m")
def one(text: str) -> str:
    return text


@step
def repeated(text: str, times: int) -> str:
    return text * times


@pipeline(schedule="0 6 * * *", sla="1h", on_sla_miss="alerts:late")
def only_2(text: str = "a", counts: list[int] = [1, 2]):
    first = one(text)
    return [repeated(first, count) for count in counts]
