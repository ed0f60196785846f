"""What docs/runs.md says can be written: every expression and every name of a run in its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from levada.store import open_store
from levada_records.index import Index, open_index
from levada_records.query import select
from levada_records.references import find_run

from tests.examples.test_churn import ROOT
from tests.records.index_rows import metric, put

TEXT = Path(ROOT, "docs", "runs.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_column(title: str) -> list[str]:
    return re.findall(r"(?m)^\| `([^`]+)` \|", section(title))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index"))
    store = open_store(str(tmp_path / "store"))
    with open_index(store, sync=False) as opened:
        put(
            opened,
            "20261130-060000-1f3a9c",
            params={"depth": 8, "mode": "slow", "depths": [2, 4]},
            metrics={name: metric(0.85) for name in ("train.auc", "train.loss", "train.loss/val")},
            tags={"stage": "candidate"},
            error={"type": "MemoryError"},
            counts={"cached": 0},
        )
        put(
            opened,
            "manual__2026-11-30T06:00:00+00:00",
            pipeline="other",
            engine_ids={"name": "airflow"},
        )
        yield opened


@pytest.mark.parametrize("expression", first_column("Filter"))
def test_the_expressions_can_be_asked(index: Index, expression: str) -> None:
    warnings: list[str] = []
    list(select(index, where=expression, warnings=warnings))
    assert warnings == []


@pytest.mark.parametrize("reference", first_column("Name a run"))
def test_the_names_of_runs_are_understood(index: Index, reference: str) -> None:
    assert find_run(index, reference)[1] in reference or reference.startswith(("churn", "2026"))


def test_the_tables_were_found() -> None:
    assert len(first_column("Filter")) == 12
    assert len(first_column("Name a run")) == 7


def test_the_fields_are_those_of_a_row(index: Index) -> None:
    fields = section("Filter").split("The fields are ")[1].split("name those of")[0]
    for field in re.findall(r"`(\w+)`", fields):
        if field not in ("running", "succeeded", "failed", "cancelled", "damaged"):
            list(select(index, where=f"{field} is None", order_by=field))


def test_the_error_is_as_it_is_shown(index: Index) -> None:
    from levada_records.query import QueryError

    (shown,) = re.findall(
        r"(?s)\$ levada runs --where \"(.*?)\"\nerror: (.*?)\n```", section("Filter")
    )
    with pytest.raises(QueryError) as raised:
        select(index, where=shown[0])
    assert str(raised.value) == shown[1]
