"""What is damaged, newer or cannot be written is said, and hides nothing else."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from levada import index_log, records
from levada.store import Store, StoreError
from levada.trees.canonical import ARTIFACT
from levada_records.index import IndexUnusable, open_index
from levada_records.index import segments as segment_forms

from .entries import ended, started, tagged, write
from .test_follow import HOUR, column, run_document, write_outcome

RUN = "runs/churn/r1/run.json"


def test_damaged_and_newer_entries_hide_no_others(store: Store) -> None:
    now = time.time()
    for number, data in enumerate(
        [
            b"",
            b"\xff{",
            b"[1]",
            b"[" * 100_000,
            b'{"schema": "levada.index/1"}',
            b'{"schema": "levada.index/1", "kind": "started", "pipeline": 1, "run_id": []}',
            b'{"schema": "levada.index/2", "kind": "started", "pipeline": "p", "run_id": "r"}',
        ]
    ):
        name = f"{index_log.entry_time(int(now * 1e9))}-{number:08x}"
        store.write_once(f"{index_log.FOLDER}/{name}.json", data)
    store.write_once(f"{index_log.FOLDER}/somebody's file.txt", b"?")
    write(store, started("r1"), now - 1)
    with open_index(store, sync=False) as index:
        report = index.sync()
        assert (report.entries, report.damaged) == (8, 7)
        assert column(index, "status") == {"r1": "running"}
        assert index.sync().entries == 0


@pytest.mark.parametrize("value", [None, 1, "text", [], {"a": {}}, [1, {"a": None}], 1e400, True])
def test_an_entry_with_values_of_other_types_is_read_as_far_as_it_fits(
    folder_store: Store, value: Any
) -> None:
    kept = {"schema", "kind", "pipeline", "run_id"}
    for make in (started, ended, tagged):
        entry = {name: each if name in kept else value for name, each in make("r1").items()}
        path = f"{index_log.FOLDER}/{index_log.entry_time(time.time_ns())}-{make.__name__}.json"
        folder_store.write_once(path, json.dumps(entry).encode())
    with open_index(folder_store) as index:
        assert list(column(index, "status")) == ["r1"]
        list(index.execute(f"SELECT {index.sql.json_number('metrics', 'a', 'last')} FROM runs"))


@pytest.mark.parametrize(
    ("data", "status", "note"),
    [
        (b"{", "damaged", "run.json is damaged"),
        (b"{}", "damaged", "run.json is damaged"),
        (None, "damaged", "run.json is not there"),
        (
            json.dumps({**run_document("r1"), "schema": "levada.run/2"}).encode(),
            "running",
            "run.json is of a newer schema: levada.run/2",
        ),
    ],
)
def test_a_run_whose_document_cannot_be_read_is_listed(
    store: Store, data: bytes | None, status: str, note: str
) -> None:
    if data is None:
        store.write_once("runs/churn/r1/fit/1/started", b"")
    else:
        store.write_once(RUN, data)
    store.write_once("runs/churn/r2/run.json", records.document(run_document("r2")))
    with open_index(store) as index:
        assert column(index, "status") == {"r1": status, "r2": "running"}
        assert column(index, "note") == {"r1": note, "r2": None}


def test_a_damaged_segment_is_not_used_and_its_entries_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_forms, "ENTRIES", 2)
    long_ago = time.time() - 50 * HOUR
    write(store, started("r1"), long_ago)
    write(store, ended("r1"), long_ago + 1)
    with open_index(store, sync=False) as index:
        assert index.sync().compacted == 2
        [name] = segment_forms.listed(store)
        data = gzip.decompress(store.read(name.path)).replace(b"succeeded", b"cancelled")
        for damaged in (gzip.compress(data), b"\x1f\x8b", gzip.compress(b"{}\n"), b""):
            store.delete(name.path)
            store.write_once(name.path, damaged)
            assert segment_forms.covered_entries(store) == set()
            index._database.clear()
            monkeypatch.setattr(segment_forms, "ENTRIES", 1000)
            assert index.sync().damaged == 1
            assert column(index, "status") == {"r1": "succeeded"}


def test_a_newer_segment_is_not_used(store: Store) -> None:
    text = b'{"schema":"levada.index_segment/2","columns":[],"parts":[]}\n[]\n'
    digest = segment_forms._digest(text)
    name = segment_forms.SegmentName(1, f"a_b_2_{digest}")
    store.write_once(name.path, gzip.compress(text))
    write(store, started("r1"), time.time())
    with open_index(store) as index:
        assert column(index, "status") == {"r1": "running"}


def _file(folder: Path) -> Path:
    [path] = (folder / "index-cache").glob("*.sqlite")
    return path


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"", b"SQLite format 3\0" * 99])
def test_a_damaged_file_is_built_again(folder_store: Store, tmp_path: Path, content: bytes) -> None:
    write(folder_store, started("r1"), time.time())
    open_index(folder_store).close()
    path = _file(tmp_path)
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    path.write_bytes(content)
    with open_index(folder_store) as index:
        assert column(index, "status") == {"r1": "running"}
        assert [("was damaged" in each) for each in index.warnings] == ([True] if content else [])


@pytest.mark.parametrize("intact", [1, 4, 8])
def test_pages_that_are_damaged_are_found_when_they_are_read(
    folder_store: Store, tmp_path: Path, intact: int
) -> None:
    for number in range(200):
        write(folder_store, started(f"r{number:03}"), time.time() + number / 1000)
    open_index(folder_store).close()
    path = _file(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(path.read_bytes())
    data[intact * 16_384 :] = os.urandom(len(data) - intact * 16_384)
    path.write_bytes(data)
    write(folder_store, ended("r000"), time.time())
    with open_index(folder_store, sync=False) as index:
        index.sync()
        if not index.warnings:  # found by a query
            with pytest.raises(IndexUnusable, match="run the command again"):
                list(index.execute("SELECT * FROM runs"))
            index.sync()
        assert len(column(index, "status")) == 200
        assert "was damaged" in index.warnings[0]


def test_another_version_of_the_tables_is_built_again(folder_store: Store, tmp_path: Path) -> None:
    write(folder_store, started("r1"), time.time())
    open_index(folder_store).close()
    with sqlite3.connect(_file(tmp_path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("ALTER TABLE runs DROP COLUMN note")
    with open_index(folder_store) as index:
        assert column(index, "note") == {"r1": None}
        assert index.warnings == []


def test_a_folder_that_cannot_be_written(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "file" / "index"))
    write(folder_store, started("r1"), time.time())
    with open_index(folder_store) as index:
        assert column(index, "status") == {"r1": "running"}
        [warning] = index.warnings
        assert "is built in memory" in warning
        assert "LEVADA_INDEX_CACHE" in warning


_SYNC = """
import sys
from levada.store import open_store
from levada_records.index import open_index
with open_index(open_store(sys.argv[1])) as index:
    print(next(index.execute("SELECT count(*) FROM runs"))[0], *index.warnings)
"""


def test_processes_that_open_one_file_at_once(folder_store: Store) -> None:
    for number in range(300):
        write(folder_store, started(f"r{number:03}"), time.time() + number / 1000)
    command = [sys.executable, "-c", _SYNC, folder_store.url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = [process.communicate()[0].split() for process in processes]
    assert said == [["300"]] * 6


def test_a_store_that_may_only_be_read(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_forms, "ENTRIES", 2)
    long_ago = time.time() - 50 * HOUR
    for number in range(4):
        write(folder_store, started(f"r{number}"), long_ago + number)

    def refuse(*_: object) -> bool:
        raise StoreError("you may only read here")

    monkeypatch.setattr(type(folder_store), "write_once", refuse)
    with open_index(folder_store, sync=False) as index:
        report = index.sync()
        assert (report.entries, report.compacted) == (4, 0)


def test_an_entry_that_cannot_be_written_is_a_warning(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise StoreError("no space is left")

    with monkeypatch.context() as patch:
        patch.setattr(type(folder_store), "write_once", refuse)
        index_log.write_started(folder_store, run_document("r1"))  # type: ignore[arg-type]
    assert folder_store.take_warnings() == ["the run is not in the index of runs: no space is left"]
    assert folder_store.take_warnings() == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody:secret@127.0.0.1:1/levada", "onnection refused"),
        ("postgresql://127.0.0.1:none/levada", "invalid"),
        ("mysql://127.0.0.1/levada", "the index at mysql://127.0.0.1/levada"),
    ],
)
def test_a_database_that_does_not_answer(folder_store: Store, url: str, said: str) -> None:
    with pytest.raises(IndexUnusable) as error:
        open_index(folder_store, database=url)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_a_database_without_its_client(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(IndexUnusable, match=r"install levada\[postgresql\]"):
        open_index(folder_store, database="postgresql://127.0.0.1/levada")


def test_a_database_of_another_version(folder_store: Store, postgresql: str) -> None:
    import psycopg

    write(folder_store, started("r1"), time.time())
    with open_index(folder_store, database=postgresql) as index:
        [(schema,)] = index.execute("SELECT current_schema()")
    with psycopg.connect(postgresql) as connection:
        connection.execute(f"COMMENT ON SCHEMA {schema} IS 'levada index 99 of x'".encode())
        connection.execute(f"ALTER TABLE {schema}.runs DROP COLUMN note".encode())
    with open_index(folder_store, database=postgresql) as index:
        assert column(index, "note") == {"r1": None}


def test_clients_that_share_a_database(folder_store: Store, postgresql: str) -> None:
    for number in range(200):
        write(folder_store, started(f"r{number:03}"), time.time() + number / 1000)
    command = [sys.executable, "-c", _SYNC, folder_store.url]
    environment = os.environ | {"LEVADA_INDEX": postgresql}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(4)
    ]
    assert [process.communicate()[0].split() for process in processes] == [["200"]] * 4


@pytest.mark.parametrize("with_name", [True, False], ids=["names its run", "names none"])
def test_a_run_with_an_unreadable_entry_is_listed_by_its_documents(
    store: Store, with_name: bool
) -> None:
    write(store, started("known"), time.time())
    with open_index(store, sync=False) as index:
        index.sync()
        newer = {**run_document("r1"), "schema": "levada.run/2"}
        store.write_once("runs/churn/r1/run.json", json.dumps(newer).encode())
        entry = {**started("r1"), "schema": "levada.index/2"}
        data = json.dumps(entry).encode() if with_name else b"{"
        store.write_once(f"{index_log.FOLDER}/{index_log.entry_time(time.time_ns())}-1.json", data)
        assert index.sync().damaged == 1
        assert column(index, "note")["r1"] == "run.json is of a newer schema: levada.run/2"
        [warning] = index.warnings
        assert "damaged or of a newer Levada" in warning
        assert index.sync().walked == 0
        assert index.warnings == [warning]


def test_the_runs_of_a_damaged_segment_are_read_from_their_documents(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_forms, "ENTRIES", 1)
    store.write_once("runs/churn/r1/run.json", records.document(run_document("r1")))
    with open_index(store, sync=False) as index:
        index.sync()
        write(store, started("r1"), time.time() - 50 * HOUR)
        open_index(store).close()
        names = segment_forms.covered_entries(store)
    with open_index(store, sync=False) as index:
        index.rebuild()
        [name] = segment_forms.listed(store)
        store.delete(name.path)
        store.write_once(name.path, b"?")
        store.delete_all([f"{index_log.FOLDER}/{each}.json" for each in names])
        index._database.clear()
        index._database.execute_many(
            "INSERT INTO followed (name, value) VALUES (?, ?)", [("walked", "1")]
        )
        assert index.sync().walked == 1
        assert column(index, "status") == {"r1": "running"}
        assert index.sync().walked == 0  # once


@pytest.mark.parametrize(
    ("data", "status", "note"),
    [
        (b"{", "damaged", "outcome.json is damaged"),
        (
            b'{"schema": "levada.outcome/99", "status": "failed"}',
            "failed",
            "outcome.json is of a newer schema: levada.outcome/99",
        ),
        (
            records.document(records.outcome("churn", "r2", seconds=1.0)),
            "damaged",
            "outcome.json is of another run: churn/r2",
        ),
    ],
)
def test_a_run_whose_outcome_cannot_be_read_is_not_running(
    store: Store, data: bytes, status: str, note: str
) -> None:
    store.write_once(RUN, records.document(run_document("r1")))
    store.write_once("runs/churn/r1/outcome.json", data)
    with open_index(store) as index:
        assert column(index, "status") == {"r1": status}
        assert column(index, "note") == {"r1": note}
        assert column(index, "user") == {"r1": "mila"}


def test_a_copied_run_is_damaged_and_the_other_one_is_as_it_was(store: Store) -> None:
    store.write_once("runs/churn/r1/run.json", records.document(run_document("r1")))
    write_outcome(store, "r1")
    index_log.write_annotation(store, "churn", "r1", tags={"a": "b"}, note=None, user=None)
    for path, _ in list(store.walk("runs/churn/r1")):
        store.write_once(path.replace("/r1/", "/copy/"), store.read(path))
    with open_index(store) as index:
        assert column(index, "status") == {"copy": "damaged", "r1": "succeeded"}
        assert "is of another run: churn/r1" in column(index, "note")["copy"]
        assert column(index, "tags")["copy"] is None


def test_a_step_whose_record_is_odd_hides_nothing(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("a metric of 400 digits")

    for run_id in ("r1", "r2"):
        path = f"runs/churn/{run_id}/run.json"
        folder_store.write_once(path, records.document(run_document(run_id)))
    write_outcome(folder_store, "r1")
    monkeypatch.setattr(index_log.RunWork, "digests", fail)
    with open_index(folder_store) as index:
        assert column(index, "status") == {"r1": "damaged", "r2": "running"}
    outcome: Any = records.outcome("churn", "r1", seconds=1.0)
    index_log.write_ended(folder_store, outcome)
    assert "the run is not in the index of runs" in folder_store.take_warnings()[0]


def test_a_damaged_value_is_left_out_of_the_entry() -> None:
    work = index_log.RunWork()
    damaged = {"tree": {ARTIFACT: {"digest": 5}}}
    good = {"artifact": {"digest": "sha256:1"}}
    work._held = {("f", ()): ({"bad": damaged, "good": good}, {})}
    assert work.digests("inputs") == {"f.good": "sha256:1"}


def test_texts_that_no_index_of_a_database_takes(folder_store: Store, postgresql: str) -> None:
    """They are as random as can be: PostgreSQL compresses others."""
    now = time.time()
    long = os.urandom(6000).hex()
    write(folder_store, started(long), now, "1")
    write(folder_store, started("r1", started=f"2026-01-02T00:00:00Z{long}"), now, "2")
    write(folder_store, started("r2", params={"n": 10**400, "t": long}, branch=long), now, "3")
    for database in (None, postgresql):
        with open_index(folder_store, database=database) as index:
            assert column(index, "started")["r1"] is None
            assert sorted(column(index, "status")) == ["r1", "r2"]
            sql = f"SELECT count(*) FROM runs WHERE {index.sql.json_number('params', 'n')} > 1"
            assert list(index.execute(sql)) == [(0,)]


def test_a_filter_by_a_long_text_leaves_no_index_that_refuses_runs(
    folder_store: Store, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from levada_records.query import rows, select

    monkeypatch.setattr(rows, "_SLOW", -1.0)
    write(folder_store, started("r1", params={"t": "x"}, branch="main"), time.time())
    with open_index(folder_store, database=postgresql) as index:
        for where in ("params.t == 'x'", "branch == 'main'", "note is None and user == 'mila'"):
            assert [row["run_id"] for row in select(index, where=where)] == ["r1"]
        long = os.urandom(6000).hex()
        write(folder_store, started("r2", params={"t": long}, branch=long, user=long), time.time())
        assert index.sync().entries == 1


_GOOD: dict[str, Any] = {
    "pipeline": "p",
    "run_id": "r",
    "status": "succeeded",
    "started_key": "a",
    "ended_key": "b",
    "metrics": '{"a.b":{"last":1,"min":1,"max":1,"count":1}}',
}


@pytest.mark.parametrize(
    "fields",
    [
        {"run_id": "r" * 2000},
        {"run_id": ""},
        {"run_id": "\ud800"},
        {"note": "a\0b"},
        {"started": "yesterday"},
        {"status": "fine"},
        {"params": "{"},
        {"params": "[1]"},
        {"params": "{},{}"},
        {"params": '{"a":1', "tags": '"b":2}'},
        {"params": "[" * 100_000},
        {"peak_memory": 1 << 63},
        {"tag_keys": '{"a":1}'},
    ],
    ids=str,
)
def test_a_segment_with_rows_that_no_database_takes_is_damaged(
    folder_store: Store, fields: dict[str, Any]
) -> None:
    _write_segment(folder_store, [_GOOD | fields])
    write(folder_store, started("r1"), time.time())
    with open_index(folder_store, sync=False) as index:
        assert index.sync().damaged == 1
        assert list(column(index, "status")) == ["r1"]


def test_what_is_odd_in_the_json_of_a_segment_is_mended(folder_store: Store) -> None:
    fields = {"params": f'{{"n":1e999,"m":{10**400}}}', "metrics": '{"a.b":{"last":[]},"c.d":{}}'}
    _write_segment(folder_store, [_GOOD | fields])
    with open_index(folder_store) as index:
        assert json.loads(column(index, "params")["r"])["n"] == "Infinity"
        assert json.loads(column(index, "metrics")["r"]) == {}


def _write_segment(
    store: Store, rows: list[dict[str, Any]], level: str = "1", names: object = ("e1",)
) -> None:
    from levada_records.index.rows import NAMES

    header = {"schema": segment_forms.SCHEMA, "parts": [], "columns": NAMES}
    lines = [header, names, *([row.get(name) for name in NAMES] for row in rows)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    name = f"a_b_1_{segment_forms._digest(text)}"
    store.write_once(f"index/segments/{level}/{name}.jsonl.gz", gzip.compress(text))


@pytest.mark.parametrize("names", [1, [1], ["a\0"], ["\ud800"], [["a"]]])
def test_a_segment_of_entries_that_are_none(folder_store: Store, names: object) -> None:
    _write_segment(folder_store, [_GOOD], names=names)
    with open_index(folder_store, sync=False) as index:
        assert index.sync().damaged == 1


def test_a_segment_that_is_too_large(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_segment(folder_store, [_GOOD], level="100")
    assert segment_forms.listed(folder_store) == []
    _write_segment(folder_store, [_GOOD])
    monkeypatch.setattr(segment_forms, "_LARGEST", 100)
    with open_index(folder_store, sync=False) as index:
        assert index.sync().damaged == 1


def test_segments_are_not_merged_to_one_that_is_too_large(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_forms, "ENTRIES", 1)
    monkeypatch.setattr(segment_forms, "PARTS", 2)
    monkeypatch.setattr(segment_forms, "_MOST_ENTRIES", 2)
    for number in range(8):
        write(folder_store, started(f"r{number}"), time.time() - 50 * HOUR + number)
    with open_index(folder_store) as index:
        assert len(column(index, "status")) == 8
    assert {each.level for each in segment_forms.listed(folder_store)} == {1, 2}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_that_may_only_be_read(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    write(folder_store, started("r1"), time.time())
    open_index(folder_store).close()
    connection = sqlite3.connect(_file(tmp_path))
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    write(folder_store, started("r2"), time.time(), "1")
    connect = sqlite3.connect

    def connect_to_read(path: str, **options: Any) -> sqlite3.Connection:
        is_file = path != ":memory:"  # root may write whatever the file's rights say
        return connect(f"file:{path}?mode=ro" if is_file else path, uri=is_file, **options)

    monkeypatch.setattr(sqlite3, "connect", connect_to_read)
    with open_index(folder_store) as index:
        assert sorted(column(index, "status")) == ["r1", "r2"]
        assert "is built in memory" in index.warnings[0]


@pytest.mark.parametrize(
    "metrics", [{"a.b": 1}, {"a.b": {}}, {"a.b": {"last": "x"}}, {"a.b": {"last": True}}]
)
def test_metrics_and_times_that_are_none_are_left_out(
    folder_store: Store, metrics: dict[str, Any]
) -> None:
    good = {"last": "NaN", "min": "NaN", "max": "NaN", "count": 1}
    write(folder_store, started("r1", started="yesterday"), time.time())
    write(folder_store, ended("r1", metrics={**metrics, "c.d": good}), time.time(), "1")
    with open_index(folder_store) as index:
        assert json.loads(column(index, "metrics")["r1"]) == {"c.d": good}
        assert column(index, "started") == {"r1": None}
