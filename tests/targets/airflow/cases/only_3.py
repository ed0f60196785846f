"""A pipeline for Airflow 3 alone."""

from levada import Retry, pipeline, step


@step(retry=Retry(2, delay=1))
def one(text: str) -> str:
    """What is said of `Label` and `os` needs no import."""
    return text


@pipeline(sla="1h", on_sla_miss="alerts:late")
def only_3(text: str = "a"):
    return one(text)
