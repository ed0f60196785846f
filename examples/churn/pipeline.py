"""Train classifiers of several depths at once, pick the best, publish it if it is good enough."""

from typing import NamedTuple

import pandas as pd
from levada import Resources, Retry, log_metric, pipeline, step
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

TARGET = "target"
LEARNERS = ["pandas", "scikit-learn"]


class Split(NamedTuple):
    """Rows to learn from, and rows that no model has seen."""

    train: pd.DataFrame
    test: pd.DataFrame


class Report(NamedTuple):
    """A model and how it does on the rows that it has not seen."""

    model: RandomForestClassifier
    depth: int
    auc: float


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Every column but the one to predict."""
    return rows.drop(columns=TARGET)


@step(requirements=LEARNERS)
def load() -> pd.DataFrame:
    """Read a real table: scikit-learn ships no customers, so its 569 patients stand in for them."""
    return load_breast_cancer(as_frame=True).frame


@step(requirements=LEARNERS)
def split(rows: pd.DataFrame, test_share: float, seed: int) -> Split:
    """Set rows aside, with as many of each class on both sides."""
    train, test = train_test_split(
        rows, test_size=test_share, random_state=seed, stratify=rows[TARGET]
    )
    return Split(train.reset_index(drop=True), test.reset_index(drop=True))


@step(requirements=LEARNERS, resources=Resources(cpu=1, memory="1Gi"), retry=Retry(2), timeout="5m")
def train(data: Split, depth: int, seed: int) -> Report:
    """Fit a forest of trees of one depth, and measure it."""
    model = RandomForestClassifier(n_estimators=60, max_depth=depth, random_state=seed)
    model.fit(features(data.train), data.train[TARGET])
    chances = model.predict_proba(features(data.test))[:, 1]
    auc = float(roc_auc_score(data.test[TARGET], chances))
    log_metric("auc", auc)
    log_metric("accuracy", float(accuracy_score(data.test[TARGET], chances > 0.5)))
    return Report(model, depth, auc)


@step
def pick(reports: list[Report]) -> Report:
    """Take the best, and the simplest of equals."""
    return max(reports, key=lambda report: (round(report.auc, 4), -report.depth))


@step
def publish(model: RandomForestClassifier, auc: float) -> str:
    """Hand the model over; a real pipeline would register it here."""
    return f"published a forest of {len(model.estimators_)} trees, AUC {auc:.3f}"


@step
def notify(message: str) -> str:
    """Tell somebody."""
    print(message)
    return message


@step
def close(seed: int) -> None:
    """Whatever happened, say that the run is over."""
    print(f"run with seed {seed} is over")


@pipeline(schedule="0 6 * * *", tags=["example"], owner="data-science")
def churn(
    test_share: float = 0.25, depths: list[int] = [2, 4, 8], min_auc: float = 0.97, seed: int = 7
):
    """Predict who leaves.

    Args:
        test_share: The part of the rows that no model sees.
        depths: How deep the trees are, one model each.
        min_auc: Publish only from this AUC on.
        seed: Of the split and of the forests.
    """
    rows = load()
    data = split(rows, test_share, seed)
    try:
        reports = [train(data, depth, seed) for depth in depths]  # fan-out
        best = pick(reports)  # fan-in
        if best.auc >= min_auc:  # decided while it runs
            outcome = publish(best.model, best.auc)
        else:
            outcome = notify(f"AUC {best.auc} is below {min_auc}")
    finally:
        close(seed)
    return outcome, best.auc, best.depth
