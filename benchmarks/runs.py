"""What finding runs costs: `python -m benchmarks.runs [PART ...] [--runs N ...]`.

Without ``--runs`` a store of 10,000 runs is made; ``--runs 100000 --runs 1000000`` measures more.

    sync        a client's first sync, by the log alone and by segments; one with nothing new, and
                one with one new run
    entry       what a run pays for its two entries, in a folder and on S3 (VersityGW, loopback)
    where       `levada runs --where` on one metric and one parameter, for the first time and again,
                beside MLflow's `search_runs` on SQLite with the same runs

Each measurement is a process of its own. CPU times are of the process, user and system.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from levada import index_log, records
from levada.store import Store, open_store
from levada_records.index import segments

from benchmarks import engines
from tests.engines.object_stores.servers import versitygw

ROUNDS, ENTRIES = 5, 500
DAYS = 100  # over which the runs of a store are spread
WHERE = "metrics.train.m1 > 0.99 and params.depth == 4"
MLFLOW_WHERE = "metrics.`train.m1` > 0.99 and params.depth = '4'"


def main() -> None:
    """Measure the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--runs", type=int, action="append", help="of a store; may be repeated")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} before")
    for name in options.parts or PARTS:
        for runs in options.runs or [10_000]:
            with tempfile.TemporaryDirectory(prefix="levada-bench-") as folder:
                PARTS[name](Path(folder), runs)
    print(f"load {os.getloadavg()[0]:.1f} after")


def timed(label: str, command: list[str], rounds: int = 1, **variables: str) -> str:
    """Run a command some times; print its wall and CPU seconds; gives what it printed last."""
    wall, cpu, out = [], [], ""
    for _ in range(rounds):
        began, used = time.perf_counter(), _children()
        out = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | variables
        ).stdout
        wall.append(time.perf_counter() - began)
        cpu.append(_children() - used)
    print(
        f"  {label:44} {statistics.median(wall):7.3f} s, CPU {statistics.median(cpu):7.3f} s,"
        f" least {min(cpu):7.3f} s"
    )
    return out


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


# ---------------------------------------------------------------- a store of many runs


def entries_of(number: int, runs: int, now: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names and the entries of one of many runs, as a training writes them."""
    at = now - DAYS * 86_400 * 10**9 * (runs - number) // runs
    rng = random.Random(number)
    place = {"schema": index_log.SCHEMA, "pipeline": f"p{number % 20}", "run_id": f"r{number:08}"}
    began = {
        **place, "kind": "started", "started": records.timestamp(at), "engine": "local",
        "engine_ids": {"name": "local"}, "environment": None, "trigger": "manual", "user": "mila",
        "params": params(rng), "commit": f"{rng.getrandbits(160):040x}", "branch": "main",
        "dirty": False, "plan": _digest(rng), "source": _digest(rng),
    }  # fmt: skip
    counts = ("steps", "cached", "failed", "skipped", "attempts", "inputs", "outputs")
    over = {
        **place, "kind": "ended", "status": "failed" if rng.random() < 0.1 else "succeeded",
        "finished": records.timestamp(at + 10**9), "seconds": 1.0,
        "metrics": {
            f"train.{name}": {"last": value, "min": 0.0, "max": 1.0, "count": 5}
            for name, value in metrics(rng).items()
        },
        "code": {f"pipeline:step{each}": _digest(rng) for each in range(4)},
        "inputs": {f"step{each}.x": _digest(rng) for each in range(4)},
        "outputs": {f"step{each}": _digest(rng) for each in range(4)},
        "counts": dict.fromkeys(counts, 4), "error": None, "peak_memory": 10**8, "cpu_seconds": 1.0,
    }  # fmt: skip
    for time_, entry in ((at, began), (at + 10**9, over)):
        yield f"{index_log.entry_time(time_)}-{rng.getrandbits(32):08x}", entry


def params(rng: random.Random) -> dict[str, Any]:
    return {"lr": rng.random(), "depth": rng.randrange(10), "data": "customers"}


def metrics(rng: random.Random) -> dict[str, float]:
    return {f"m{each}": rng.random() for each in range(5)}


def _digest(rng: random.Random) -> str:
    return f"sha256:{rng.getrandbits(256):064x}"


def make_store(folder: Path, runs: int) -> Store:
    """Write the log of a store, and nothing else of the runs."""
    store = open_store(str(folder / "store"))
    store.prepare()
    log = folder / "store" / index_log.FOLDER
    log.mkdir(parents=True)
    now = time.time_ns()
    for number in range(runs):
        for name, entry in entries_of(number, runs, now):
            (log / f"{name}.json").write_bytes(records.document(entry))
    return store


SYNC = """
import sys
from levada.store import open_store
from levada_records.index import open_index
index = open_index(open_store(sys.argv[1]), sync=False)
print(*index.sync())
"""


def _sync(label: str, store: Store, cache: Path) -> str:
    command = [sys.executable, "-c", SYNC, store.url]
    return timed(label, command, LEVADA_INDEX_CACHE=str(cache)).strip()


# ---------------------------------------------------------------- sync


def sync(folder: Path, runs: int) -> None:
    print(f"sync of {runs:,} runs")
    store = make_store(folder, runs)
    while int(_sync("first, by the log; then segments", store, folder / "first").split()[-1]):
        print("  (it wrote segments)")
    # What `levada gc` does: the log keeps what is in no segment.
    covered = segments.covered_entries(store)
    store.delete_all([f"{index_log.FOLDER}/{name}.json" for name in covered])
    for number in range(3):
        _sync("first, by segments", store, folder / f"new-{number}")
    for _ in range(3):
        _sync("nothing new", store, folder / "first")
    for number in range(3):
        for name, entry in entries_of(number + 1, 1, time.time_ns() + DAYS * 86_400 * 10**9):
            store.write_once(f"{index_log.FOLDER}/{name}.json", records.document(entry))
        _sync("one new run", store, folder / "first")


# ---------------------------------------------------------------- entries


def entry(folder: Path, _: int) -> None:
    print(f"the two entries of a run, of {ENTRIES} runs")
    _write_entries("in a folder", open_store(str(folder / "store")))
    with versitygw(folder / "server") as bucket:
        os.environ.update(bucket.environment)
        os.environ["LEVADA_BLOB_CACHE"] = str(folder / "blob-cache")
        _write_entries("on S3", open_store(bucket.at("entries").url))


def _write_entries(label: str, store: Store) -> None:
    store.prepare()
    documents = [
        entry for number in range(ENTRIES) for entry in entries_of(number, ENTRIES, time.time_ns())
    ]
    began, used = time.perf_counter(), time.process_time()
    for name, content in documents:
        store.write_once(f"{index_log.FOLDER}/{name}.json", records.document(content))
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    print(f"  {label:44} {wall / ENTRIES * 1e3:.2f} ms a run, CPU {cpu / ENTRIES * 1e3:.2f} ms")


# ---------------------------------------------------------------- where


def where(folder: Path, runs: int) -> None:
    print(f"filter {runs:,} runs by a metric and a parameter")
    store = make_store(folder, runs)
    cache = folder / "cache"
    while int(_sync("(first sync)", store, cache).split()[-1]):
        pass
    os.utime(folder / "store" / index_log.FOLDER, (1e9, 1e9))  # as of a store that rests
    command = [
        *(sys.executable, "-m", "levada_cli.main", "runs", "--store", store.url, "--all"),
        *("--json", "--where", WHERE),
    ]
    timed("levada runs, for the first time", command, LEVADA_INDEX_CACHE=str(cache))
    out = timed("levada runs", command, ROUNDS, LEVADA_INDEX_CACHE=str(cache))
    ours = sorted(each["run_id"] for each in json.loads(out))
    theirs = _mlflow(folder, runs)
    if ours != theirs:
        raise SystemExit(f"Levada finds {len(ours)} runs, MLflow {len(theirs)}")
    print(f"  both find the same {len(ours)} runs")


MLFLOW_MAKE = """
import json, sqlite3, sys
from mlflow import MlflowClient
path, runs = sys.argv[1], sys.argv[2]
experiment = MlflowClient(f"sqlite:///{path}").create_experiment("e")
connection = sqlite3.connect(path)
def columns(table, **values):
    names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    missing = set(values) - set(names)
    assert not missing, (table, missing)
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
def insert(table, rows):
    rows = list(rows)
    connection.executemany(columns(table, **rows[0]), [list(row.values()) for row in rows])
with open(runs) as file:
    for line in file:
        r = json.loads(line)
        insert("runs", [dict(run_uuid=r["id"], name=r["id"], source_type="LOCAL", status="FINISHED",
            start_time=r["at"], end_time=r["at"] + 1000, lifecycle_stage="active", user_id="mila",
            experiment_id=experiment, artifact_uri="x")])
        insert("params", [dict(key=k, value=str(v), run_uuid=r["id"])
            for k, v in r["params"].items()])
        for table in ("metrics", "latest_metrics"):
            insert(table, [dict(key=f"train.{k}", value=v, timestamp=r["at"], step=0, is_nan=False,
                run_uuid=r["id"]) for k, v in r["metrics"].items()])
        insert("tags", [dict(key="mlflow.user", value="mila", run_uuid=r["id"])])
connection.commit()
"""
MLFLOW_SEARCH = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(f"sqlite:///{sys.argv[1]}")
token, found = None, []
while True:
    page = client.search_runs(["1"], sys.argv[2], max_results=1000, page_token=token)
    found += [run.info.run_id for run in page]
    token = page.token
    if not token:
        break
print(json.dumps(found))
"""


def _mlflow(folder: Path, runs: int) -> list[str]:
    """Put the same runs into MLflow's database, and search them; gives their ids."""
    python = str(engines.ensure("mlflow") / "python")
    now = time.time_ns()
    with (folder / "runs.jsonl").open("w") as file:
        for number in range(runs):
            (_, began), (_, over) = entries_of(number, runs, now)
            values = {name.removeprefix("train."): m["last"] for name, m in over["metrics"].items()}
            run = {"id": began["run_id"], "params": began["params"], "metrics": values}
            file.write(json.dumps({**run, "at": now // 10**6 + number}) + "\n")
    database = str(folder / "mlflow.db")
    subprocess.run(
        [python, "-c", MLFLOW_MAKE, database, str(folder / "runs.jsonl")],
        check=True, capture_output=True,
    )  # fmt: skip
    search = [python, "-W", "ignore", "-c", MLFLOW_SEARCH, database, MLFLOW_WHERE]
    out = timed("MLflow, search_runs of all pages", search, ROUNDS)
    return sorted(json.loads(out))


PARTS = {"sync": sync, "entry": entry, "where": where}

if __name__ == "__main__":
    main()
