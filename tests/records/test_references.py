"""A run in one word: its id or the beginning, the last, the best, or an id of an engine."""

from __future__ import annotations

import pytest
from levada_records.index import Index
from levada_records.references import AmbiguousRun, RunNotFound, find_run

from .index_rows import metric, put


@pytest.fixture
def runs(index: Index) -> Index:
    def run(run_id: str, auc: float | str | None, **fields: object) -> None:
        metrics = {} if auc is None else {"train.auc": metric(auc)}
        put(index, run_id, metrics=metrics, **fields)

    run("20261128-060000-aaaaaa", 0.7, started="2026-11-28T06:00:00.000000Z")
    run("20261129-060000-bbbbbb", 0.9, started="2026-11-29T06:00:00.000000Z")
    run("20261130-060000-cccccc", 0.8, started="2026-11-30T06:00:00.000000Z")
    failed = {"status": "failed", "started": "2026-11-30T07:00:00.000000Z"}
    run("20261130-070000-dddddd", 0.99, **failed)
    run("20261127-060000-eeeeee", "NaN", started="2026-11-27T06:00:00.000000Z")
    put(
        index,
        "manual__2026-11-30T06:00:00+00:00",
        pipeline="fraud",
        engine="airflow",
        engine_ids={
            "name": "airflow",
            "run_id": "scheduled-1",
            "job": "fraud-x7k2p",
            "retry_of": "an-older-run",
            "environment": "prod",
            "dag_id": "fraud-dag",
            "task_id": "load",
            "map_index": -1,
            "process": {"pid": 7, "host": "vm"},
        },
        started="2026-11-30T09:00:00.000000Z",
    )
    put(index, "20261129-060000-bbbbbb", pipeline="etl", started="2026-11-20T06:00:00.000000Z")
    return index


def test_what_gc_removed_is_neither_the_latest_nor_the_best(runs: Index) -> None:
    removed = {"tags": {"removed": "2026-12-01"}, "started": "2026-11-30T23:00:00.000000Z"}
    put(runs, "20261130-230000-ffffff", metrics={"train.auc": metric(1.0)}, **removed)
    assert find_run(runs, "churn@latest")[1] == "20261130-070000-dddddd"
    assert find_run(runs, "churn@best:metrics.train.auc")[1] == "20261129-060000-bbbbbb"
    assert find_run(runs, "20261130-23")[1] == "20261130-230000-ffffff"


@pytest.mark.parametrize(
    ("reference", "run_id"),
    [
        ("20261128-060000-aaaaaa", "20261128-060000-aaaaaa"),
        ("20261128", "20261128-060000-aaaaaa"),
        ("churn/20261129", "20261129-060000-bbbbbb"),
        ("local:churn/20261129", "20261129-060000-bbbbbb"),
        ("airflow@prod:etl/20261129-060000-bbbbbb", "20261129-060000-bbbbbb"),
        ("churn@latest", "20261130-070000-dddddd"),
        ("@latest", "manual__2026-11-30T06:00:00+00:00"),
        ("churn@best:metrics.train.auc", "20261129-060000-bbbbbb"),
        ("churn@best:max:metrics.train.auc", "20261129-060000-bbbbbb"),
        ("churn@best:min:metrics.train.auc", "20261128-060000-aaaaaa"),
        ("churn@best:metrics.train.auc.max", "20261129-060000-bbbbbb"),
        ("churn@best:min:seconds", "20261130-060000-cccccc"),  # of equal ones the newest
        ("manual__2026-11-30T06:00:00+00:00", "manual__2026-11-30T06:00:00+00:00"),
        ("fraud/manual__2026-11-30T06", "manual__2026-11-30T06:00:00+00:00"),
        ("scheduled-1", "manual__2026-11-30T06:00:00+00:00"),
        ("fraud-x7k2p", "manual__2026-11-30T06:00:00+00:00"),
    ],
)
def test_a_reference_means_a_run(runs: Index, reference: str, run_id: str) -> None:
    assert find_run(runs, reference)[1] == run_id


def test_a_pipeline_may_be_given_apart(runs: Index) -> None:
    assert find_run(runs, "2026112", pipeline="etl") == ("etl", "20261129-060000-bbbbbb")
    assert find_run(runs, "@latest", pipeline="churn")[1] == "20261130-070000-dddddd"
    with pytest.raises(RunNotFound, match="no run of `etl` `20261130`"):
        find_run(runs, "20261130", pipeline="etl")


def test_several_runs_are_listed(runs: Index) -> None:
    with pytest.raises(AmbiguousRun) as raised:
        find_run(runs, "20261130")
    assert str(raised.value) == (
        "`20261130` means several runs; write more of it:\n"
        "  churn/20261130-070000-dddddd  failed  2026-11-30T07:00:00\n"
        "  churn/20261130-060000-cccccc  succeeded  2026-11-30T06:00:00"
    )
    assert raised.value.candidates[0] == ("churn", "20261130-070000-dddddd")


def test_one_id_in_two_pipelines(runs: Index) -> None:
    with pytest.raises(AmbiguousRun) as raised:
        find_run(runs, "20261129-060000-bbbbbb")
    assert {pipeline for pipeline, _ in raised.value.candidates} == {"churn", "etl"}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("20261128-060000-aaaaab", "did you mean `20261128-060000-aaaaaa`?"),
        ("churn", "`churn` is a pipeline: write `churn@latest`"),
        ("churn@lates", "`churn@lates` names no run: write @latest"),
        ("chrun@latest", "no run of a pipeline `chrun`; did you mean `churn`?"),
        ("churn@best", "write @latest, @best:metrics.STEP.METRIC"),
        ("churn@best:", "write @latest, @best:metrics.STEP.METRIC"),
        ("churn@best:metrics.train.acu", "did you mean `metrics.train.auc`?"),
        ("churn@best:train.auc", "did you mean `metrics.train.auc`?"),
        ("churn@best:min:", "write @latest, @best:metrics.STEP.METRIC"),
        ("etl@best:metrics.train.auc", "no run of `etl` has succeeded with a value"),
        ("churn@best:1) or (1", "names no run"),
        ("", "a run has to be named"),
        ("\0", "a run has to be named"),
        ("\udc80", "a run has to be named"),
        ("nothing/like/it", "`levada runs` lists those that there are"),
        ("local", "there is no run `local`"),  # the engine's name is no id
        ("an-older-run", "there is no run `an-older-run`"),  # it is gone
        ("prod", "there is no run `prod`"),  # where it is deployed to
        ("fraud-dag", "there is no run `fraud-dag`"),  # of all of its runs
        ("load", "there is no run `load`"),
        ("-1", "there is no run `-1`"),
        ("%", "there is no run `%`"),
    ],
)
def test_no_run(runs: Index, reference: str, message: str) -> None:
    with pytest.raises(RunNotFound) as raised:
        find_run(runs, reference)
    assert message in str(raised.value)


def test_a_store_without_runs(index: Index) -> None:
    for reference in ("churn@latest", "2026"):
        with pytest.raises(RunNotFound):
            find_run(index, reference)


def test_a_run_is_found_by_its_id_without_a_look_at_all(index: Index) -> None:
    put(index, "r1")
    if index.dialect == "sqlite":
        plan = index.execute("EXPLAIN QUERY PLAN SELECT 1 FROM runs WHERE run_id = ?", ["r1"])
        assert "runs_run_id" in str(list(plan))
    else:
        names = index.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
        )
        assert ("runs_run_id",) in list(names)
