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
from levada_records.index.follow import Follower

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


def test_a_run_whose_end_is_not_in_the_log_is_not_running_for_ever(
    store: Store, opened: Callable[[Store], Index]
) -> None:
    long_ago = time.time() - 30 * HOUR
    for run_id in ("r1", "r2"):
        store.write_once(f"runs/churn/{run_id}/run.json", records.document(run_document(run_id)))
        write(store, started(run_id, long_ago), long_ago)
    write_outcome(store, "r1")
    index = opened(store)  # a new client
    assert column(index, "status") == {"r1": "succeeded", "r2": "running"}
    write_outcome(store, "r2")
    index.sync()
    assert column(index, "status") == {"r1": "succeeded", "r2": "running"}
    forget_when_unended_runs_were_looked_at(index)
    write(store, tagged("r1", a="b"), time.time())
    index.sync()  # one that knows the run
    assert column(index, "status") == {"r1": "succeeded", "r2": "succeeded"}


def write_outcome(store: Store, run_id: str, **fields: Any) -> None:
    outcome = {**records.outcome("churn", run_id, seconds=2.0), **fields}
    store.write_once(f"runs/churn/{run_id}/outcome.json", records.document(outcome))


def forget_when_unended_runs_were_looked_at(index: Index) -> None:
    index._database.execute_many("DELETE FROM followed WHERE name = ?", [("looked",)])


def test_a_rebuild_reads_ends_and_annotations_that_the_log_does_not_have(
    store: Store, opened: Callable[[Store], Index]
) -> None:
    store.write_once("runs/churn/r1/run.json", records.document(run_document("r1")))
    write(store, started("r1"), time.time())
    index = opened(store)
    write_outcome(store, "r1")
    index_log.write_annotation(store, "churn", "r1", tags={"a": "b"}, note="good", user=None)
    for name in store.list("index/log")[1:]:
        store.delete(f"index/log/{name}")
    index.sync()
    assert column(index, "status") == {"r1": "running"}
    index.rebuild()
    assert column(index, "status") == {"r1": "succeeded"}
    assert json.loads(column(index, "tags")["r1"]) == {"a": "b"}
    write(store, ended("r1"), time.time())  # now the log has all but the annotation
    index.rebuild()
    assert column(index, "note") == {"r1": "good"}


def test_a_removed_run_is_not_damaged(store: Store, opened: Callable[[Store], Index]) -> None:
    write(store, ended("r1"), time.time() - 5)
    write(store, tagged("r1", removed="2026-12-01"), time.time())
    index = opened(store)
    assert column(index, "status") == {"r1": "succeeded"}
    assert column(index, "note") == {"r1": None}


def test_an_index_that_another_client_rebuilds_meanwhile_has_all_runs(
    store: Store, opened: Callable[[Store], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    write(store, started("logged", now), now)
    store.write_once("runs/churn/older/run.json", records.document(run_document("older")))
    one, other = opened(store), opened(store)
    one._database.execute_many("DELETE FROM followed WHERE name = ?", [("walked",)])
    write(store, started("new", now), now, "1")
    walk = Follower._walk

    def cleared_meanwhile(self: Follower, **options: bool) -> int:
        monkeypatch.setattr(Follower, "_walk", walk)
        other._database.clear()
        return walk(self, **options)

    monkeypatch.setattr(Follower, "_walk", cleared_meanwhile)
    one.sync()
    assert sorted(column(one, "status")) == ["logged", "new", "older"]
    assert one.sync().entries == 0


def test_an_empty_note_removes_the_one_before(
    store: Store, opened: Callable[[Store], Index]
) -> None:
    now = time.time()
    write(store, started("r1"), now - 3)
    write(store, noted("r1", "good"), now - 2)
    write(store, noted("r1", ""), now - 1)
    assert column(opened(store), "note") == {"r1": None}


def test_a_query_that_is_not_over_keeps_nobody_from_writing(folder_store: Store) -> None:
    write(folder_store, started("r1"), time.time())
    with open_index(folder_store) as one, open_index(folder_store) as other:
        open_query = one.execute("SELECT run_id FROM runs UNION ALL SELECT run_id FROM runs")
        next(open_query)
        write(folder_store, started("r2"), time.time())
        list(other.execute("PRAGMA busy_timeout = 0"))
        assert other.sync().entries == 1
        assert next(open_query) == ("r1",)
        assert list(open_query) == []
