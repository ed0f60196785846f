"""What runs write into the log of the index, by whatever they are run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from levada import document_schemas, index_log, records, run_end, stored_run
from levada.store import Store, open_store
from levada_records.index import open_index
from levada_records.index import rows as row_forms
from levada_records.index.unindexed import row

PIPELINE = """
from levada import Retry, log_metric, pipeline, step

@step
def fit(lr: float) -> float:
    log_metric("auc", lr / 2)
    log_metric("auc", lr)
    log_metric("loss", float("nan"))
    return lr

@step(retry=Retry(1, delay=0))
def best(xs: list[float], limit: float) -> float:
    log_metric("best", max(xs))
    if max(xs) > limit:
        raise ValueError(f"{max(xs)} is too much")
    return max(xs)

@pipeline
def churn(lrs: list[float] = [0.25, 0.75, 0.5], limit: float = 1.0):
    found = [fit(lr) for lr in lrs]
    return best(found, limit)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.levada]\n")
    (folder / "churn.py").write_text(PIPELINE)
    return folder


def run(project: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "levada_cli.main", "run", "churn.py", "--json", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    assert "warning" not in done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def entries(store: Store) -> list[dict[str, Any]]:
    """The entries of a store's log, each as its schema says."""
    found = [json.loads(store.read(f"index/log/{name}")) for name in store.list("index/log")]
    assert all(document_schemas.fits(each, "index") for each in found)
    return found


def test_a_local_run(project: Path) -> None:
    done = run(project)
    began, over = entries(open_store(str(project / ".levada")))
    assert (began["kind"], began["pipeline"], began["run_id"]) == (
        "started",
        "churn",
        done["run_id"],
    )
    assert began["params"] == {"lrs": [0.25, 0.75, 0.5], "limit": 1.0}
    assert began["engine"] == "local"
    assert over["status"] == "succeeded"
    assert over["metrics"] == {
        "best.best": {"last": 0.75, "min": 0.75, "max": 0.75, "count": 1},
        "fit.auc": {"last": 0.5, "min": 0.125, "max": 0.75, "count": 6},
        "fit.loss": {"last": "NaN", "min": "NaN", "max": "NaN", "count": 3},
    }
    assert list(over["code"]) == ["churn:best", "churn:fit"]
    assert list(over["inputs"]) == [
        "best.xs",
        "best.limit",
        "fit[0].lr",
        "fit[1].lr",
        "fit[2].lr",
    ]
    assert over["outputs"]["best"] == over["outputs"]["fit[1]"] == over["inputs"]["fit[1].lr"]
    assert over["counts"]["steps"] == over["counts"]["attempts"] == 4

    run(project)
    *_, again = entries(open_store(str(project / ".levada")))
    assert again["counts"]["cached"] == 4
    assert again["metrics"] == over["metrics"]


def test_a_run_that_fails_after_two_attempts(project: Path) -> None:
    run(project, "--param", "limit=0.5")
    _, over = entries(open_store(str(project / ".levada")))
    assert over["status"] == "failed"
    assert over["error"] == {
        "type": "ValueError",
        "message": "0.75 is too much",
        "node": "best",
        "map_index": None,
    }
    assert (over["counts"]["failed"], over["counts"]["attempts"]) == (1, 5)
    assert over["metrics"]["best.best"]["count"] == 1
    assert "best" not in over["outputs"]


def test_the_documents_of_a_run_say_what_its_entries_say(project: Path) -> None:
    done = run(project, "--param", "limit=0.5")
    store = open_store(str(project / ".levada"))
    names = store.list("index/log")
    found = [
        row_forms.row_of_entry(name.removesuffix(".json"), entry)
        for name, entry in zip(names, entries(store), strict=True)
    ]
    [logged] = row_forms.merged(each for each in found if each is not None).values()
    stored = dict(zip(row_forms.NAMES, row(store, "churn", done["run_id"]), strict=True))
    expected = dict(zip(row_forms.NAMES, logged, strict=True))
    for key in ("started_key", "ended_key"):
        assert stored.pop(key) <= expected.pop(key)
    assert stored == expected


def test_a_run_of_tasks(project: Path) -> None:
    """As on Airflow: each task is a process of its own, the last one writes the outcome."""
    done = run(project)
    store = open_store(str(project / ".levada"))
    local = entries(store)[1]
    for name in store.list("index/log"):
        store.delete(f"index/log/{name}")
    engine = {"name": "airflow", "dag_run_id": "scheduled__2026", "trigger": "schedule"}
    given: dict[str, Any] = {
        "engine": engine,
        "source": None,
        "project": str(project),
        "secrets": {},
    }
    for _ in range(2):  # two tasks that begin at once: one entry
        document = stored_run.register(store, "churn", "a", {"limit": 1.0}, **given)
    [began] = entries(store)
    assert (began["engine"], began["trigger"]) == ("airflow", "schedule")
    assert began["engine_ids"]["dag_run_id"] == "scheduled__2026"

    folder = records.run_path("churn", done["run_id"])
    for path, _ in store.walk(folder):
        if path.endswith("/record.json"):
            store.write_once(path.replace(folder, "runs/churn/a"), store.read(path))
    run_end.write_success(store, document, {}, "none", [])
    _, over = entries(store)
    for part in ("metrics", "code", "inputs", "outputs"):
        assert over[part] == local[part]
    assert {**over["counts"], "skipped": 0} == local["counts"]
    assert over["cpu_seconds"] > 0

    run_end.write_failure(store, document, {**_failed(store, folder), "run_id": "a"})
    with open_index(store) as index:
        sql = "SELECT status, engine FROM runs WHERE run_id = ?"
        assert list(index.execute(sql, ["a"])) == [("failed", "airflow")]


def _failed(store: Store, folder: str) -> Any:
    record = records.read_record(store, f"{folder}/best/1")
    error = {
        "type": "ValueError",
        "module": "builtins",
        "message": "no",
        "traceback": [],
        "frames": [],
        "permanent": True,
        "kind": "error",
    }
    return {**record, "status": "failed", "error": error}


def test_an_entry_of_a_loop_of_thousands_is_small() -> None:
    work = index_log.RunWork()
    for number in range(5000):
        record = {
            "status": "succeeded",
            "step": "m:fit",
            "code": {"digest": "sha256:" + "1" * 64},
            "metrics": [
                {"name": f"m{at}", "value": float(number), "step": None, "time": ""}
                for at in range(3)
            ],
            "inputs": {"x": {"digest": f"sha256:{number:064x}"}},
            "returns": {"digest": f"sha256:{number:064x}"},
            "resources": {"peak_memory_bytes": number, "cpu_user_seconds": 0.5},
        }
        work.add("fit", (number,), 1, record)
    outcome = records.outcome("p", "r")
    entry = index_log.ended(outcome, work)
    assert len(records.document(entry)) < 100_000
    assert entry["metrics"]["fit.m0"] == {"last": 4999.0, "min": 0.0, "max": 4999.0, "count": 5000}
    assert len(entry["inputs"]) == len(entry["outputs"]) == index_log.MOST_DIGESTS
    assert entry["counts"]["inputs"] == entry["counts"]["steps"] == 5000
    assert entry["peak_memory"] == 4999
    assert entry["cpu_seconds"] == 2500.0


def test_a_long_parameter_is_cut() -> None:
    document: Any = {
        "pipeline": "p",
        "run_id": "r",
        "created": "",
        "trigger": "manual",
        "user": None,
        "plan": None,
        "source": None,
        "git": None,
        "engine": {"name": "local"},
        "parameters": {"display": {"xs": list(range(10_000)), "x": 1}},
    }
    params = index_log.started(document)["params"]
    assert params["x"] == 1
    assert params["xs"].startswith("[0, 1, 2,")
    assert len(params["xs"]) == index_log.LONGEST_TEXT + 1


def test_tags_and_notes_are_documents_of_the_run(project: Path) -> None:
    done = run(project)
    store = open_store(str(project / ".levada"))
    for tags, note in (({"owner": "mila", "old": "x"}, None), ({"old": None}, "good")):
        index_log.write_annotation(store, "churn", done["run_id"], tags=tags, note=note, user="me")
    folder = f"{records.run_path('churn', done['run_id'])}/annotations"
    documents = [json.loads(store.read(f"{folder}/{name}")) for name in store.list(folder)]
    assert all(document_schemas.fits(each, "annotation") for each in documents)
    assert len(documents) == 2
    with open_index(store) as index:
        sql = "SELECT tags, note FROM runs"
        assert list(index.execute(sql)) == [('{"owner":"mila"}', "good")]
        for name in store.list("index/log"):
            store.delete(f"index/log/{name}")
        index.rebuild()
        assert list(index.execute(sql)) == [('{"owner":"mila"}', "good")]
