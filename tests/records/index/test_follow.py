"""An index has a row for each run, however its entries were written and read."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
from levada import index_log, records
from levada.store import Store, open_store
from levada_records.index import Index, open_index
from levada_records.index import segments as segment_forms

from .entries import ended, noted, started, tagged, write

HOUR = 3600.0


def column(index: Index, name: str) -> dict[str, Any]:
    """The values of a column by run."""
    return dict(index.execute(f'SELECT run_id, "{name}" FROM runs ORDER BY run_id'))


def test_a_run_begins_ends_and_is_tagged(store: Store, opened: Callable[[Store], Index]) -> None:
    now = time.time()
    write(store, started("r1", now - 20), now - 20)
    index = opened(store)
    assert column(index, "status") == {"r1": "running"}
    assert column(index, "finished") == {"r1": None}
    assert json.loads(column(index, "params")["r1"]) == {"depth": 4}

    write(store, ended("r1", now - 10, status="failed"), now - 10)
    write(store, tagged("r1", owner="mila", stage="trial"), now - 9)
    write(store, tagged("r1", stage=None), now - 8)
    write(store, noted("r1", "first"), now - 7)
    write(store, noted("r1", "second"), now - 6)
    assert index.sync().entries == 5
    assert column(index, "status") == {"r1": "failed"}
    assert json.loads(column(index, "tags")["r1"]) == {"owner": "mila"}
    assert column(index, "note") == {"r1": "second"}
    assert json.loads(column(index, "metrics")["r1"])["train.auc"]["last"] == 0.5
    assert column(index, "dirty") == {"r1": 0}
    assert column(index, "peak_memory") == {"r1": 1000}

    assert index.sync().entries == 0


def test_a_run_that_is_started_over_has_its_last_end(
    folder_store: Store, opened: Callable[[Store], Index]
) -> None:
    now = time.time()
    write(folder_store, ended("r1", status="succeeded"), now - 5)
    index = opened(folder_store)
    write(folder_store, ended("r1", status="failed"), now - 9)  # it was on its way for longer
    index.sync()
    assert column(index, "status") == {"r1": "succeeded"}


def test_a_run_without_its_first_entry_is_completed_from_its_document(
    store: Store, opened: Callable[[Store], Index]
) -> None:
    store.write_once("runs/churn/r1/run.json", records.document(run_document("r1")))
    write(store, ended("r1"), time.time())
    index = opened(store)
    assert column(index, "status") == {"r1": "succeeded"}
    assert json.loads(column(index, "params")["r1"]) == {"depth": 4}
    assert column(index, "user") == {"r1": "mila"}


def test_runs_older_than_the_index_are_found(
    store: Store, opened: Callable[[Store], Index]
) -> None:
    store.write_once("runs/churn/r1/run.json", records.document(run_document("r1")))
    store.write_once("runs/churn/r2/run.json", records.document(run_document("r2")))
    outcome = records.outcome("churn", "r2", seconds=2.0)
    store.write_once("runs/churn/r2/outcome.json", records.document(outcome))
    index_log.write_annotation(store, "churn", "r2", tags={"a": "b"}, note="good", user=None)
    for name in store.list("index/log"):  # the documents alone
        store.delete(f"index/log/{name}")
    index = opened(store)
    assert column(index, "status") == {"r1": "running", "r2": "succeeded"}
    assert json.loads(column(index, "tags")["r2"]) == {"a": "b"}
    assert column(index, "note") == {"r1": None, "r2": "good"}


def run_document(run_id: str) -> dict[str, Any]:
    shown = {"depth": 4}
    return {
        "schema": records.RUN_SCHEMA,
        "pipeline": "churn",
        "run_id": run_id,
        "parameters": {"trees": shown, "display": shown},
        "trigger": "manual",
        "user": "mila",
        "engine": {"name": "local"},
        "created": "2026-01-02T15:04:05.000000Z",
        "source": None,
        "plan": None,
        "git": None,
        "environment": {"python": "3.11.7", "platform": "linux"},
    }


def test_old_entries_become_segments_and_a_new_client_reads_these(
    store: Store, opened: Callable[[Store], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_forms, "ENTRIES", 10)
    monkeypatch.setattr(segment_forms, "PARTS", 2)
    now = time.time()
    for number in range(25):
        write(store, started(f"r{number:02}"), now - 50 * HOUR + number)
        write(store, ended(f"r{number:02}"), now - 40 * HOUR + number)
    write(store, started("new"), now)

    first = opened(store)
    assert column(first, "status")["new"] == "running"
    assert sorted(each.level for each in segment_forms.listed(store)) == [1, 1, 1, 1, 1, 2, 2, 3]
    expected = rows(first)
    first.rebuild()
    assert rows(first) == expected

    covered = segment_forms.covered_entries(store)
    assert len(covered) == 50
    store.delete_all([f"index/log/{name}.json" for name in covered])
    store.delete_all(sorted(segment_forms.covered_segments(store)))
    assert sorted(each.level for each in segment_forms.listed(store)) == [1, 3]
    first.rebuild()
    assert rows(first) == expected


def rows(index: Index) -> list[tuple[Any, ...]]:
    return list(index.execute("SELECT * FROM runs ORDER BY pipeline, run_id"))


def test_an_entry_from_the_future_does_not_hide_the_others(folder_store: Store) -> None:
    now = time.time()
    write(folder_store, started("future"), now + 365 * 24 * HOUR)
    with open_index(folder_store) as index:
        write(folder_store, started("late"), now - 23 * HOUR)
        index.sync()
        assert sorted(column(index, "run_id")) == ["future", "late"]


def test_a_store_in_the_place_of_a_removed_one_has_its_own_runs(
    folder_store: Store, opened: Callable[[Store], Index]
) -> None:
    now = time.time()
    write(folder_store, ended("old", status="succeeded"), now - 20)
    index = opened(folder_store)
    assert list(column(index, "status")) == ["old"]
    (folder,) = folder_store.local_folders()
    shutil.rmtree(folder)
    write(open_store(folder), ended("new", status="succeeded"), now - 10)
    index.sync()
    assert list(column(index, "status")) == ["new"]
    shutil.rmtree(folder)
    index.sync()
    assert list(column(index, "status")) == []


def test_a_log_that_has_not_changed_is_not_read(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    write(folder_store, started("r1"), time.time())
    long_ago = time.time() - HOUR
    os.utime(f"{folder_store.local_folders()[0]}/index/log", (long_ago, long_ago))
    with open_index(folder_store) as index:
        with monkeypatch.context() as patch:
            patch.setattr(type(folder_store), "list", lambda *_: pytest.fail("it was listed"))
            index.sync()
        write(folder_store, started("r2"), time.time())
        assert index.sync().entries == 1


def test_the_store_of_a_team_in_one_database(
    tmp_path_factory: pytest.TempPathFactory, postgresql: str
) -> None:
    from levada.store import open_store

    stores = [open_store(str(tmp_path_factory.mktemp("store"))) for _ in range(2)]
    for number, each in enumerate(stores):
        write(each, started(f"of-{number}"), time.time())
    indexes = [open_index(each, database=postgresql) for each in stores]
    assert [list(column(each, "run_id")) for each in indexes] == [["of-0"], ["of-1"]]
    other = open_index(stores[0], database=postgresql, sync=False)
    assert list(column(other, "run_id")) == ["of-0"]
    for each in (*indexes, other):
        each.close()
