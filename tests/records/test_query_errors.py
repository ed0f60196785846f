"""What makes no sense is said in words, with its place in the expression."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada_records.index import Index
from levada_records.query import QueryError, select

from tests.cli.markdown import Case, cases

from .index_rows import metric, put, put_all

CASES = cases(Path(__file__).parent / "cases")


@pytest.fixture
def runs(index: Index) -> Index:
    auc = {"train.auc": metric(0.9), "train.loss": metric(0.1, 0.5)}
    put(index, "a", params={"depth": 4, "mode": "fast"}, metrics=auc, tags={"owner": "ann"})
    put(index, "b", params={"depth": 8, "mode": "slow"}, metrics=auc)
    put(index, "c", params={"depth": 8}, status="failed")
    return index


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_an_error_says_what_and_where(runs: Index, case: Case) -> None:
    where, error = case.block("where"), case.block("error")
    assert where is not None
    with pytest.raises(QueryError) as raised:
        select(runs, where=where.removesuffix("\n"))
    assert f"{raised.value}\n" == error


def test_a_tag_may_be_set_later(runs: Index) -> None:
    warnings: list[str] = []
    assert list(select(runs, where="tags.owmer == 'ann'", warnings=warnings)) == []
    assert warnings == ["no run has the tag `tags.owmer`; did you mean `tags.owner`?"]


def test_in_an_empty_index_nothing_has_a_name_yet(index: Index) -> None:
    assert list(select(index, where="metrics.train.auc > 0.9 and params.depth == 4")) == []


def test_a_value_of_two_types_is_compared_by_those_that_fit(index: Index) -> None:
    put(index, "a", params={"depth": 4})
    put(index, "b", params={"depth": "auto"})
    assert [row["run_id"] for row in select(index, where="params.depth > 3")] == ["a"]
    assert [row["run_id"] for row in select(index, where="params.depth == 'auto'")] == ["b"]


@pytest.mark.parametrize(
    "where",
    [
        "(" * 500 + "dirty" + ")" * 500,
        "not " * 5000 + "dirty",
        " or ".join(["dirty"] * 1000),
        f"pipeline in {list(map(str, range(2000)))}",
        "'" + "x" * 30_000 + "' == note",
        "9" * 5000 + " > seconds",
        "2 ** 10_000_000 > seconds",
        "'x' * 10_000_000_000 == note",
        "note == '\0'",
        "note == '\ud800'",
        "metrics['\0'] > 3",
        "metrics[0].auc > 3",
        "lambda: 3",
        "(x := 3) > 2",
        "[r for r in params]",
        "f'{status}' == 'x'",
        "*status",
        "status, note",
        "'; DROP TABLE runs; --' in seconds",
    ],
)
def test_hostile_expressions_are_errors(runs: Index, where: str) -> None:
    with pytest.raises(QueryError):
        select(runs, where=where)
    assert len(list(select(runs))) == 3


NAMES = ["'", '"', "a'b", 'a"b', "a\\b", "$", "a.b", "[0]", "{}", "?", "%s", "é", "--", "a b", "😀"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["params", "metrics", "tags"])
def test_a_name_may_have_any_character(index: Index, column: str, name: str) -> None:
    value = {"params": 3, "metrics": metric(3.0), "tags": "3"}[column]
    put_all(
        index,
        [
            {"run_id": "a", column: {name: value, "other": value}},
            {"run_id": "b", column: {"other": value}},
        ],
    )
    compared = "'3'" if column == "tags" else "3"
    place = f"{column}[{name!r}]"
    found = list(select(index, where=f"{place} == {compared}", order_by=place))
    assert [row["run_id"] for row in found] == ["a"]
    assert [row["run_id"] for row in select(index, where=f"{place} is None")] == ["b"]
    if column == "params":
        assert list(select(index, where=f"2 in {place} or 'x' in {place}")) == []


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.text(st.sampled_from("ab.'\"()[]{}<>=!~ 01,:and or not in is status%?\\\n\t")))
def test_any_text_is_an_expression_or_an_error(index: Index, where: str) -> None:
    with suppress(QueryError):
        list(select(index, where=where, limit=1))
