"""Steps as tasks of Kubeflow: what they return and log, and how they end."""

import os
import signal
from typing import NamedTuple

from levada import PermanentError, log_artifact, log_metric, step


class Report(NamedTuple):
    page: str
    curve: dict
    model: list


@step
def report(auc: float) -> Report:
    log_metric("auc", auc)
    log_metric("loss", float("nan"))
    log_metric("epoch", 1, step=1)
    log_metric("epoch", 2, step=2)
    curve = {"confusionMatrix": {"rows": [1, 2]}, "empty": None, "bad": float("nan")}
    return Report("<h1>ok</h1>", curve, [1.5, None, "ü"])


@step
def logs(size: int) -> str:
    log_artifact("notes", ["$(A)", size])
    log_artifact("page", "<p>" + "x" * size)
    return "<h1>" + "x" * size


@step
def same(value):
    return value


class Curve(NamedTuple):
    curve: dict


@step
def roc() -> Curve:
    log_metric("\ud800", 1)
    points = [{"confidenceThreshold": each, "recall": 0.5} for each in (float("inf"), 0.5)]
    return Curve({"confidenceMetrics": points, "type": None})


@step
def large(points: int, classes: int) -> Curve:
    for name in ("auc", "display_name", "display_name_", "store_session_info"):
        log_metric(name, 0.5)
    curve = [{"confidenceThreshold": 1 - n / points, "recall": 0.5} for n in range(points)]
    matrix = {"rows": [{"row": [0] * classes} for _ in range(classes)]}
    return Curve({"confidenceMetrics": curve, "confusionMatrix": matrix, "note": 1})


class Place(NamedTuple):
    table: str
    page: str


@step(secrets={"SCHEMA": "db/schema"})
def place() -> Place:
    schema = os.environ["SCHEMA"]
    return Place(f"{schema}.customers", f"<h1>{schema}.customers</h1>")


@step
def nothing() -> None:
    print("nothing")


@step
def raises(text: str) -> str:
    raise ValueError(text)


@step
def raises_for_good() -> None:
    raise PermanentError("no use")


@step
def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
