"""Rows of runs: their order, how many, and that a filter that is used again is fast."""

from __future__ import annotations

import pytest
from levada_records.index import Index
from levada_records.query import QueryError, as_json, indexes, rows, select

from .index_rows import metric, put, put_all
from .schemas import assert_valid


def ids(index: Index, **query: object) -> list[str]:
    return [row["run_id"] for row in select(index, **query)]  # type: ignore[arg-type]


def test_the_newest_come_first(index: Index) -> None:
    put(index, "old", started="2026-01-01T00:00:00.000000Z")
    put(index, "new", started="2026-03-01T00:00:00.000000Z")
    put(index, "between", started="2026-02-01T00:00:00.000000Z")
    put(index, "unknown", started=None, status="damaged")
    assert ids(index) == ["new", "between", "old", "unknown"]
    assert ids(index, limit=2) == ["new", "between"]


def test_runs_of_one_moment_have_an_order_too(index: Index) -> None:
    put(index, "b", pipeline="x")
    put(index, "a", pipeline="x")
    put(index, "c", pipeline="w")
    assert ids(index) == ids(index, limit=3) == ["c", "a", "b"]


def test_sorted_by_a_metric_those_without_it_come_last(index: Index) -> None:
    put(index, "low", metrics={"m.auc": metric(0.1)})
    put(index, "high", metrics={"m.auc": metric(0.9)})
    put(index, "none")
    put(index, "nan", metrics={"m.auc": metric("NaN")})
    put(index, "infinite", metrics={"m.auc": metric("Infinity")})
    assert ids(index, order_by="-metrics.m.auc")[:3] == ["infinite", "high", "low"]
    assert ids(index, order_by="metrics.m.auc")[:3] == ["low", "high", "infinite"]
    assert set(ids(index, order_by="metrics.m.auc")[3:]) == {"nan", "none"}


def test_sorted_by_several_fields(index: Index) -> None:
    put(index, "a", params={"x": 1}, seconds=3.0)
    put(index, "b", params={"x": 2}, seconds=1.0)
    put(index, "c", params={"x": 1}, seconds=9.0)
    put(index, "d", params={"x": "text"}, seconds=9.0)
    assert ids(index, order_by=["params.x", "-seconds"]) == ["c", "a", "b", "d"]


@pytest.mark.parametrize("field", ["metrics.m.acu", "stated", "1", "params", "-", "a b"])
def test_an_order_that_is_none(index: Index, field: str) -> None:
    put(index, "a", metrics={"m.auc": metric(0.1)})
    with pytest.raises(QueryError):
        select(index, order_by=field)


def test_fields_of_metrics(index: Index) -> None:
    put(index, "a", metrics={"train.loss": metric(0.5, 0.1, 0.9), "train.loss.max": metric(7.0)})
    assert ids(index, where="metrics.train.loss == 0.5") == ["a"]
    assert ids(index, where="metrics.train.loss.min == 0.1 and metrics.train.loss.count == 3") == [
        "a"
    ]
    assert ids(index, where="metrics.train.loss.max == 0.9") == ["a"]  # not the metric `loss.max`
    assert ids(index, where="metrics['train.loss.max'] == 7") == ["a"]
    put(index, "b", metrics={"val.max": metric(7.0)})
    assert ids(index, where="metrics.val.max == 7") == ["b"]


def test_names_of_nested_pipelines_and_of_values_in_parameters(index: Index) -> None:
    metrics = {"sub.train.auc": metric(0.5), "train.loss/val": metric(0.1)}
    put(index, "a", metrics=metrics, params={"model": {"depth": 4}, "depths": [2, 4]})
    for where in (
        "metrics.sub.train.auc == 0.5",
        "metrics['sub.train'].auc == 0.5",
        "metrics.train['loss/val'] < 0.2",
        "metrics['train.loss/val'] < 0.2",
        "params.model.depth == 4",
        "2 in params.depths and 3 not in params.depths",
        "params.depths == [2, 4]",
        "'depth' in params.model",
    ):
        assert ids(index, where=where) == ["a"], where


def test_a_row_as_json(index: Index) -> None:
    put(
        index,
        "a",
        metrics={"m.auc": metric(0.5, 0.1), "m.bad": metric("NaN")},
        error={"type": "ValueError", "message": "no", "node": "train", "map_index": None},
        status="failed",
    )
    put(index, "b", status="damaged", started=None, seconds=None, params=None, metrics=None)
    found = [as_json(row) for row in select(index)]
    assert_valid(found, "runs")
    assert found[0]["metrics"] == {"m.auc": 0.5, "m.bad": "NaN"}
    assert found[0]["dirty"] is False
    assert found[1]["params"] == {}


def test_a_filter_that_was_slow_gets_an_index(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_SLOW", -1.0)
    put_all(
        index,
        (
            {
                "run_id": f"{at:05}",
                "params": {"depth": at % 7},
                "metrics": {"m.auc": metric(at / 1e4)},
            }
            for at in range(10_000)
        ),
    )
    where = "metrics.m.auc >= 0.999 and params.depth == 3"
    first = ids(index, where=where)
    assert len(_indexes(index)) == 1
    if index.dialect == "sqlite":
        plan = "EXPLAIN QUERY PLAN SELECT run_id FROM runs WHERE " + _condition(index, where)
        assert "USING INDEX filtered_" in str(list(index.execute(plan)))
    assert ids(index, where=where) == first == [each for each in first if int(each) % 7 == 3]
    assert len(first) in (1, 2)


def test_runs_that_gc_removed_are_found_by_their_tag_only(index: Index) -> None:
    put(index, "a", tags={"owner": "mila"}, started="2026-11-01T06:00:00.000000Z")
    put(index, "b", tags={"owner": "mila", "removed": "2026-12-01"})
    assert ids(index) == ["a"]
    assert ids(index, limit=1) == ["a"]
    assert ids(index, where="tags.owner == 'mila'") == ["a"]
    assert ids(index, where="tags.removed is not None") == ["b"]
    assert ids(index, where="tags['removed'] < '2027' or not dirty") == ["b", "a"]
    assert ids(index, order_by="tags.removed") == ["b", "a"]


def test_indexes_are_few(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_SLOW", -1.0)
    put(index, "a", params={f"p{at}": at for at in range(30)})
    for at in range(30):
        assert ids(index, where=f"params.p{at} == {at}") == ["a"]
    assert len(_indexes(index)) == indexes.MOST


def _indexes(index: Index) -> list[str]:
    """The names of the indexes that filters have got."""
    query = "SELECT name FROM sqlite_master WHERE type = 'index'"
    if index.dialect == "postgresql":
        query = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
    names = [str(name) for (name,) in index.execute(query)]
    return [name for name in names if name.startswith("filtered_")]


def _condition(index: Index, where: str) -> str:
    """The condition in SQL, with its parameters as literals."""
    from levada_records.query.conditions import Conditions
    from levada_records.query.names import Names
    from levada_records.query.syntax import Text

    text = Text(where)
    sql = Conditions(text, Names(index)).condition(text.tree())
    found = sql.text
    for value in sql.parameters:
        found = found.replace("?", repr(value), 1)
    return found


def test_a_column_that_is_seldom_asked_for_is_read_when_it_is(index: Index) -> None:
    digests = {"train": "sha256:1"}
    put(index, "a", outputs=digests, inputs=digests, code=digests)
    fields = rows.places(index, ["outputs.train", "inputs.train", "code.train", "run_id"])
    (row,) = rows.select(index, fields=[place for _, place in fields])
    assert [rows.value_at(row, place) for _, place in fields] == [*["sha256:1"] * 3, "a"]
    (row,) = rows.select(index, limit=1)
    assert "outputs" not in row
