"""The pipeline of `ten_steps.py`, as one writes it for Kubeflow Pipelines."""

from typing import List, NamedTuple  # noqa: UP035  (KFP knows `List[Model]` only)

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

BASE = "python:3.11"
PACKAGES = ["pandas", "scikit-learn", "joblib"]


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def load(path: str, data: Output[Dataset]):
    """Read the raw customers and refuse a file without the target column."""
    import pandas as pd

    table = pd.read_csv(path)
    table.columns = [name.strip().lower() for name in table.columns]
    if table.empty:
        raise ValueError(f"{path} has no rows")
    if "churned" not in table.columns:
        raise ValueError(f"{path} has no column 'churned'")
    print(f"read {len(table)} customers from {path}")
    table.to_csv(data.path, index=False)


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def clean(raw: Input[Dataset], data: Output[Dataset]):
    """Drop repeated customers, fill the holes, clip what cannot be."""
    import pandas as pd

    table = pd.read_csv(raw.path)
    table = table.drop_duplicates(subset="customer_id").set_index("customer_id")
    numbers = table.select_dtypes("number").columns
    table[numbers] = table[numbers].fillna(table[numbers].median())
    table["tenure"] = table["tenure"].clip(lower=0)
    dropped = table["churned"].isna()
    print(f"dropped {int(dropped.sum())} customers of unknown fate")
    table[~dropped].to_csv(data.path)


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def encode(rows: Input[Dataset], max_levels: int, data: Output[Dataset]):
    """One column per category, the rare ones together."""
    import pandas as pd

    table = pd.read_csv(rows.path, index_col="customer_id")
    for name in table.select_dtypes("object").columns:
        common = table[name].value_counts().index[:max_levels]
        table[name] = table[name].where(table[name].isin(common), "other")
    table = pd.get_dummies(table, drop_first=True)
    table["spend_per_month"] = table["spend"] / table["tenure"].clip(lower=1)
    table.to_csv(data.path)


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def split(
    data: Input[Dataset],
    test_share: float,
    seed: int,
    train_rows: Output[Dataset],
    test_rows: Output[Dataset],
):
    """Keep a stratified share of the rows away from the training."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    table = pd.read_csv(data.path, index_col="customer_id")
    train_part, test_part = train_test_split(
        table, test_size=test_share, random_state=seed, stratify=table["churned"]
    )
    train_part.to_csv(train_rows.path)
    test_part.to_csv(test_rows.path)


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def train(data: Input[Dataset], depth: int, seed: int, model: Output[Model]):
    """Fit one forest of the given depth."""
    import joblib
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    table = pd.read_csv(data.path, index_col="customer_id")
    forest = RandomForestClassifier(
        n_estimators=200, max_depth=depth, random_state=seed, oob_score=True, n_jobs=2
    )
    forest.fit(table.drop(columns=["churned"]), table["churned"])
    chances = forest.oob_decision_function_[:, 1]
    auc = float(roc_auc_score(table["churned"], chances))
    print(f"depth {depth}: out-of-bag auc {auc:.4f}")
    model.metadata.update(depth=depth, auc=auc)
    joblib.dump(forest, model.path)


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def pick(candidates: Input[List[Model]], best: Output[Model]):  # noqa: UP006
    """The best candidate; the shallower one of two that are as good."""
    import shutil

    if not candidates:
        raise ValueError("no candidate to pick from: `depths` is empty")
    ranked = sorted(candidates, key=lambda c: (-c.metadata["auc"], c.metadata["depth"]))
    for place, candidate in enumerate(ranked, start=1):
        print(f"{place}. depth {candidate.metadata['depth']}: {candidate.metadata['auc']:.4f}")
    shutil.copy(ranked[0].path, best.path)


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def evaluate(model: Input[Model], data: Input[Dataset]) -> NamedTuple(
    "Scores", [("auc", float), ("accuracy", float)]
):
    """Judge the chosen model on the rows kept away."""
    from collections import namedtuple

    import joblib
    import pandas as pd
    from sklearn.metrics import accuracy_score, roc_auc_score

    forest = joblib.load(model.path)
    table = pd.read_csv(data.path, index_col="customer_id")
    chances = forest.predict_proba(table.drop(columns=["churned"]))[:, 1]
    scores = namedtuple("Scores", ["auc", "accuracy"])  # noqa: PYI024
    return scores(
        float(roc_auc_score(table["churned"], chances)),
        float(accuracy_score(table["churned"], chances > 0.5)),
    )


@dsl.component(base_image=BASE, packages_to_install=PACKAGES)
def publish(model: Input[Model], name: str, auc: float) -> str:
    """Write the model's card and say where the model is."""
    import joblib

    forest = joblib.load(model.path)
    leaders = sorted(
        zip(forest.feature_importances_, forest.feature_names_in_, strict=True), reverse=True
    )
    for weight, column in leaders[:10]:
        print(f"{column:30} {weight:.3f}")
    return f"published {name} at auc {auc:.4f}"


@dsl.component(base_image=BASE)
def reject(name: str, auc: float, wanted: float) -> str:
    """Say by how much the model misses the mark."""
    missing = wanted - auc
    share = missing / wanted
    print(f"{name}: {missing:.4f} short of {wanted}")
    print(f"{name}: {share:.1%} of the way is left")
    return f"rejected {name}: auc {auc:.4f} is under {wanted}"


@dsl.component(base_image=BASE)
def report(outcome: str, auc: float, accuracy: float) -> str:
    """The line that the team reads in the morning."""
    print(f"{outcome} (auc {auc:.3f}, accuracy {accuracy:.3f})")
    return outcome


@dsl.pipeline(name="churn")
def churn(
    path: str = "customers.csv",
    name: str = "churn",
    depths: List[int] = [4, 8, 16],  # noqa: B006, UP006
    min_auc: float = 0.8,
) -> str:
    """Retrain every morning; publish only what is good enough."""
    raw = load(path=path)
    cleaned = clean(raw=raw.outputs["data"])
    table = encode(rows=cleaned.outputs["data"], max_levels=20)
    parts = split(data=table.outputs["data"], test_share=0.2, seed=7)
    with dsl.ParallelFor(depths) as depth:
        candidate = train(data=parts.outputs["train_rows"], depth=depth, seed=7)
        candidate.set_cpu_limit("2").set_memory_limit("4Gi").set_retry(2)
    best = pick(candidates=dsl.Collected(candidate.outputs["model"]))
    scores = evaluate(model=best.outputs["best"], data=parts.outputs["test_rows"])
    auc = scores.outputs["auc"]
    with dsl.If(auc >= min_auc):
        published = publish(model=best.outputs["best"], name=name, auc=auc)
    with dsl.Else():
        rejected = reject(name=name, auc=auc, wanted=min_auc)
    outcome = dsl.OneOf(published.output, rejected.output)
    return report(outcome=outcome, auc=auc, accuracy=scores.outputs["accuracy"]).output
