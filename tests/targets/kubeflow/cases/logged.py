"""What steps log, and outputs that KFP shows by their types."""

from typing import NamedTuple, NewType

import levada
from levada import log_metric, pipeline, step

HTML = NewType("HTML", str)
ClassificationMetrics = NewType("ClassificationMetrics", dict[str, list[dict[str, float]]])


class Report(NamedTuple):
    page: HTML
    curve: ClassificationMetrics
    auc: float


def note(auc: float) -> None:
    log_metric("auc", auc)


@step
def evaluate(auc: float) -> Report:
    note(auc)
    levada.log_artifact("notes", ["fine"])
    points = [{"confidenceThreshold": 0.5, "recall": auc, "falsePositiveRate": 0.1}]
    curve = ClassificationMetrics({"confidenceMetrics": points})
    return Report(HTML("<h1>fine</h1>"), curve, auc)


@step
def tell(auc: float) -> None:
    print(auc)


@pipeline
def logged(auc: float = 0.5):
    report = evaluate(auc)
    tell(report.auc)
