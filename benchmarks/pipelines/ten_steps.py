"""Train, pick and publish a churn model: ten steps, a fan-out, a branch and a merge.

The benchmarks compile this module. `ten_steps_kfp.py` is the same pipeline for Kubeflow.
"""

from typing import NamedTuple

import pandas as pd
from levada import Resources, Retry, pipeline, step
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

REQUIREMENTS = ["pandas", "scikit-learn"]
TARGET = "churned"


class Split(NamedTuple):
    """The rows to learn from and the rows to judge with."""

    train: pd.DataFrame
    test: pd.DataFrame


class Candidate(NamedTuple):
    """A trained model and how well it does on the rows that it has seen."""

    model: RandomForestClassifier
    depth: int
    auc: float


class Scores(NamedTuple):
    """What the chosen model scores on rows that it has never seen."""

    auc: float
    accuracy: float


def features(data: pd.DataFrame) -> pd.DataFrame:
    """Every column but the one to predict."""
    return data.drop(columns=[TARGET])


@step(requirements=REQUIREMENTS, retry=Retry(3))
def load(path: str) -> pd.DataFrame:
    """Read the raw customers and refuse a file without the target column."""
    data = pd.read_csv(path)
    data.columns = [name.strip().lower() for name in data.columns]
    if data.empty:
        raise ValueError(f"{path} has no rows")
    if TARGET not in data.columns:
        raise ValueError(f"{path} has no column {TARGET!r}")
    print(f"read {len(data)} customers from {path}")
    return data


@step(requirements=REQUIREMENTS)
def clean(data: pd.DataFrame) -> pd.DataFrame:
    """Drop repeated customers, fill the holes, clip what cannot be."""
    data = data.drop_duplicates(subset="customer_id").set_index("customer_id")
    numbers = data.select_dtypes("number").columns
    data[numbers] = data[numbers].fillna(data[numbers].median())
    data["tenure"] = data["tenure"].clip(lower=0)
    dropped = data[TARGET].isna()
    print(f"dropped {int(dropped.sum())} customers of unknown fate")
    return data[~dropped]


@step(requirements=REQUIREMENTS)
def encode(data: pd.DataFrame, max_levels: int) -> pd.DataFrame:
    """One column per category, the rare ones together."""
    for name in data.select_dtypes("object").columns:
        common = data[name].value_counts().index[:max_levels]
        data[name] = data[name].where(data[name].isin(common), "other")
    data = pd.get_dummies(data, drop_first=True)
    data["spend_per_month"] = data["spend"] / data["tenure"].clip(lower=1)
    return data


@step(requirements=REQUIREMENTS)
def split(data: pd.DataFrame, test_share: float, seed: int) -> Split:
    """Keep a stratified share of the rows away from the training."""
    train_rows, test_rows = train_test_split(
        data, test_size=test_share, random_state=seed, stratify=data[TARGET]
    )
    return Split(train=train_rows, test=test_rows)


@step(requirements=REQUIREMENTS, resources=Resources(cpu=2, memory="4Gi"), retry=Retry(2))
def train(data: pd.DataFrame, depth: int, seed: int) -> Candidate:
    """Fit one forest of the given depth."""
    model = RandomForestClassifier(
        n_estimators=200, max_depth=depth, random_state=seed, oob_score=True, n_jobs=2
    )
    model.fit(features(data), data[TARGET])
    chances = model.oob_decision_function_[:, 1]
    auc = float(roc_auc_score(data[TARGET], chances))
    print(f"depth {depth}: out-of-bag auc {auc:.4f}")
    return Candidate(model=model, depth=depth, auc=auc)


@step(requirements=REQUIREMENTS)
def pick(candidates: list[Candidate]) -> RandomForestClassifier:
    """The best candidate; the shallower one of two that are as good."""
    if not candidates:
        raise ValueError("no candidate to pick from: `depths` is empty")
    ranked = sorted(candidates, key=lambda candidate: (-candidate.auc, candidate.depth))
    for place, candidate in enumerate(ranked, start=1):
        print(f"{place}. depth {candidate.depth}: {candidate.auc:.4f}")
    return ranked[0].model


@step(requirements=REQUIREMENTS)
def evaluate(model: RandomForestClassifier, data: pd.DataFrame) -> Scores:
    """Judge the chosen model on the rows kept away."""
    chances = model.predict_proba(features(data))[:, 1]
    return Scores(
        auc=float(roc_auc_score(data[TARGET], chances)),
        accuracy=float(accuracy_score(data[TARGET], chances > 0.5)),
    )


@step(requirements=REQUIREMENTS, retry=Retry(5))
def publish(model: RandomForestClassifier, name: str, auc: float) -> str:
    """Write the model's card and say where the model is."""
    leaders = sorted(
        zip(model.feature_importances_, model.feature_names_in_, strict=True), reverse=True
    )
    for weight, column in leaders[:10]:
        print(f"{column:30} {weight:.3f}")
    return f"published {name} at auc {auc:.4f}"


@step
def reject(name: str, auc: float, wanted: float) -> str:
    """Say by how much the model misses the mark."""
    missing = wanted - auc
    share = missing / wanted
    print(f"{name}: {missing:.4f} short of {wanted}")
    print(f"{name}: {share:.1%} of the way is left")
    return f"rejected {name}: auc {auc:.4f} is under {wanted}"


@step
def report(outcome: str, auc: float, accuracy: float) -> str:
    """The line that the team reads in the morning."""
    print(f"{outcome} (auc {auc:.3f}, accuracy {accuracy:.3f})")
    return outcome


@pipeline(schedule="0 6 * * *")
def churn(
    path: str = "customers.csv",
    name: str = "churn",
    depths: list[int] = [4, 8, 16],  # noqa: B006
    min_auc: float = 0.8,
):
    """Retrain every morning; publish only what is good enough."""
    table = encode(clean(load(path)), max_levels=20)
    parts = split(table, test_share=0.2, seed=7)
    candidates = [train(parts.train, depth, seed=7) for depth in depths]
    best = pick(candidates)
    scores = evaluate(best, parts.test)
    if scores.auc >= min_auc:
        outcome = publish(best, name, scores.auc)
    else:
        outcome = reject(name, scores.auc, min_auc)
    return report(outcome, scores.auc, scores.accuracy)
