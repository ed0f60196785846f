"""`levada runs`, `tag` and `note`: of real runs, and of an index with rows of all kinds."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from levada.store import open_store
from levada_records.index import Index, open_index

from tests.engines.object_stores.servers import Bucket
from tests.records.index_rows import metric, put
from tests.records.schemas import assert_valid

from .conftest import Project
from .test_people import ACTS

FLOW = """
from levada import log_metric, pipeline, step


@step
def train(depth: int, mode: str) -> float:
    for at in range(depth):
        log_metric("loss", 1 / (at + 1))
    log_metric("auc", depth / 10)
    if mode == "fail":
        raise ValueError("this mode fails")
    return depth / 10


@pipeline
def churn(depth: int = 2, mode: str = "plain"):
    return train(depth, mode)
"""


@pytest.fixture
def project(project: Project, tmp_path: Path) -> Project:
    project.variables["LEVADA_INDEX_CACHE"] = str(tmp_path / "index")
    project.write("pyproject.toml", "[project]\nname = 'churn'\nversion = '1'\n")
    project.write("flow.py", FLOW)
    return project


def run(project: Project, *arguments: str) -> None:
    project.levada("run", "flow.py", *(word for each in arguments for word in ("--param", each)))


def runs(project: Project, *arguments: str) -> Any:
    """What `levada runs --json` prints, as its schema says."""
    done = project.levada("runs", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert_valid(done.stdout, "runs")
    return json.loads(done.stdout)


# ---------------------------------------------------------------------------- real runs


def test_runs_are_found_by_what_they_logged(project: Project) -> None:
    run(project, "depth=2")
    run(project, "depth=7")
    run(project, "depth=8", "mode=fail")
    project.levada("run", "pipeline.py")
    found = runs(project)
    assert [(each["pipeline"], each["status"]) for each in found] == [
        ("small", "succeeded"),
        ("churn", "failed"),
        ("churn", "succeeded"),
        ("churn", "succeeded"),
    ]
    best = runs(project, "churn", "--where", "metrics.train.auc > 0.5 and status == 'succeeded'")
    assert [each["params"] for each in best] == [{"depth": 7, "mode": "plain"}]
    assert best[0]["metrics"] == {"train.auc": 0.7, "train.loss": 1 / 7}
    assert best[0]["engine"] == "local"
    assert [each["params"].get("depth") for each in runs(project, "--sort", "-metrics.train.loss")][
        :3
    ] == [
        2,
        7,
        8,
    ]
    failed = runs(project, "--where", "error.type == 'ValueError' and counts.failed == 1")
    assert failed[0]["error"]["message"] == "this mode fails"
    assert runs(project, "--where", "metrics.train.loss.max == 1 and metrics.train.loss.count == 7")


def test_tags_and_notes(project: Project) -> None:
    run(project, "depth=2")
    run(project, "depth=3")
    first, second = (each["run_id"] for each in reversed(runs(project)))
    done = project.levada("tag", "churn@best:metrics.train.auc", "stage=candidate", "team/x=b c")
    assert (done.returncode, done.stdout) == (0, "stage=candidate\nteam/x=b c\n")
    assert [each["run_id"] for each in runs(project, "--where", "tags.stage == 'candidate'")] == [
        second
    ]
    assert runs(project, "--where", "tags['team/x'] == 'b c'")[0]["tags"]["stage"] == "candidate"
    done = project.levada("tag", second, "--remove", "stage", "owner=ann", "--json")
    assert_valid(done.stdout, "annotations")
    assert json.loads(done.stdout)["tags"] == {"owner": "ann", "team/x": "b c"}
    assert runs(project, "--where", "tags.stage is not None") == []
    assert project.levada("tag", second).stdout == "owner=ann\nteam/x=b c\n"

    assert project.levada("note", first, "the first\nof two").returncode == 0
    assert project.levada("note", f"churn/{first}").stdout == "the first\nof two\n"
    assert [
        each["run_id"] for each in runs(project, "--where", "note.startswith('the first')")
    ] == [first]
    done = project.levada("note", first, "", "--json")
    assert_valid(done.stdout, "annotations")
    assert json.loads(done.stdout)["note"] is None
    assert project.levada("note", first).stdout == ""
    assert project.levada("note", first, "--json").stdout.count('"note": null') == 1
    assert runs(project, "--where", "note is not None") == []
    done = project.levada("runs", "--columns", "run,outputs.train", "--limit", "1")
    assert (done.returncode, "sha256:" in done.stdout) == (0, True), done.stderr


def test_a_note_from_stdin(project: Project) -> None:
    run(project)
    done = subprocess.run(
        [sys.executable, "-m", "levada_cli.main", "note", "churn@latest", "-"],
        cwd=project.folder,
        env=os.environ | project.variables,
        input="líne\n".encode(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert project.levada("note", "churn@latest").stdout == "líne\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["tag", "churn@latest", "stage"],
            "`stage` is no tag: write NAME=VALUE, or --remove stage",
        ),
        (["tag", "churn@latest", "a b=1"], "`a b` is no name of a tag"),
        (["tag", "churn@latest", "=1"], "`` is no name of a tag"),
        (["tag", "churn@latest", "a=1", "--remove", "a"], "cannot be set and removed at once"),
        (["tag", "churn@latest", f"a={'x' * 2000}"], "has 2,000 characters, more than 1,000"),
        (["tag", "chrun@latest", "a=1"], "no run of a pipeline `chrun`; did you mean `churn`?"),
        (["note", "churn@latest", "x" * 70_000], "the note is longer than 64 KiB"),
        (["note", "2026-no-such-run", "x"], "there is no run `2026-no-such-run`"),
        (["runs", "chrun"], "no runs of a pipeline `chrun`; did you mean `churn`?"),
        (["runs", "--where", "stats == 3"], "a run has no `stats`; did you mean `status`?"),
        (["runs", "--sort", "a,,b"], "--sort takes names with a comma between them"),
        (["runs", "--columns", "params.dept"], "did you mean `params.depth`?"),
        (["runs", "--json", "--csv"], "--json, --csv and --parquet exclude each other"),
        (["runs", "--limit", "0"], "0 is not in the range x>=1"),
        (["runs", "--store", "nowhere://x"], "cannot use the store"),
    ],
)
def test_wrong_usage(project: Project, arguments: list[str], message: str) -> None:
    run(project)
    done = project.levada(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_place_in_the_expression_is_shown(project: Project) -> None:
    run(project)
    done = project.levada("runs", "--where", "status == 'failed' and metrics.train.acu > 0.9")
    assert done.stderr == (
        "error: no run has the metric `metrics.train.acu`; did you mean `metrics.train.auc`?\n"
        "  status == 'failed' and metrics.train.acu > 0.9\n"
        "                         ^^^^^^^^^^^^^^^^^\n"
        "see `levada runs --help`\n"
    )


def test_a_store_without_runs(project: Project) -> None:
    done = project.levada("runs")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no runs\n")
    assert runs(project, "churn", "--where", "metrics.train.auc > 0.9") == []
    assert not (project.folder / ".levada").exists()


def test_a_damaged_run_is_listed_and_hides_none(project: Project) -> None:
    """Its documents cannot be read, and no entry of the log says what it was."""
    run(project, "depth=2")
    run(project, "depth=3")
    broken = runs(project)[0]["run_id"]
    folder = project.folder / ".levada"
    shutil.rmtree(folder / "index")
    (folder / "runs" / "churn" / broken / "run.json").write_text('{"schema')
    (folder / "runs" / "churn" / broken / "outcome.json").unlink()
    found = {each["run_id"]: each["status"] for each in runs(project, "--rebuild")}
    assert len(found) == 2
    assert found.pop(broken) == "damaged"
    assert list(found.values()) == ["succeeded"]
    shown = project.levada("runs", "--where", "status == 'damaged'").stdout.splitlines()
    assert [line.split()[:2] for line in shown] == [["run", "status"], [broken, "damaged"]]


def test_completion_of_pipelines_reads_no_store(project: Project) -> None:
    run(project)
    runs(project)
    (project.folder / ".levada").rename(project.folder / "elsewhere")
    project.variables |= {
        "_LEVADA_COMPLETE": "bash_complete",
        "COMP_WORDS": "levada runs ch",
        "COMP_CWORD": "2",
    }
    assert project.levada().stdout == "plain,churn\n"


def test_in_a_bucket_with_a_database_of_the_team(
    project: Project, s3: Bucket, postgresql: str
) -> None:
    project.variables |= {"LEVADA_STORE": s3.url, "LEVADA_INDEX": postgresql}
    run(project, "depth=2")
    run(project, "depth=7")
    best = runs(project, "churn", "--where", "metrics.train.auc > 0.5")
    assert [each["params"]["depth"] for each in best] == [7]
    assert project.levada("tag", "churn@best:metrics.train.auc", "stage=candidate").returncode == 0
    tagged = runs(project, "--where", "tags.stage == 'candidate'")
    assert [each["run_id"] for each in tagged] == [best[0]["run_id"]]
    assert not list((project.folder.parent / "index").glob("*"))
    assert runs(project, "--rebuild") == runs(project)


def test_a_database_that_is_not_there(project: Project) -> None:
    run(project)
    project.variables["LEVADA_INDEX"] = "postgresql://ann:hidden@127.0.0.1:1/none"
    done = project.levada("runs")
    assert done.returncode == 1
    assert "the index at postgresql://" in done.stderr
    assert "hidden" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_index_that_is_damaged_or_cannot_be_written(project: Project, tmp_path: Path) -> None:
    run(project)
    expected = runs(project)
    (file,) = (tmp_path / "index").glob("*.sqlite")
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    file.write_bytes(b"no database" * 1000)
    done = project.levada("runs", "--json")
    assert json.loads(done.stdout) == expected
    assert "was damaged" in done.stderr
    assert done.stderr.startswith("warning: ")
    project.variables["LEVADA_INDEX_CACHE"] = "/proc/nowhere"
    done = project.levada("runs", "--json")
    assert json.loads(done.stdout) == expected
    assert "it is built in memory" in done.stderr


# ---------------------------------------------------------------------------- rows of all kinds


@pytest.fixture
def index(project: Project, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The index of the project's store, with rows that no run has written."""
    for name, value in project.variables.items():
        monkeypatch.setenv(name, value)
    store = open_store(str(project.folder / ".levada"))
    store.prepare()
    with open_index(store, sync=False) as opened:
        yield opened


KEYS = {"started_key": "20261130T060000.000000Z-aa", "ended_key": "20261130T060100.000000Z-aa"}


def fill(index: Index) -> None:
    metrics = {"train.auc": metric(0.9123456), "train.loss": metric("NaN")}
    first = {"started": "2026-11-30T06:00:00.000000Z", "params": {"depth": 4, "seed": 7}}
    put(index, "20261130-060000-aaaaaa", metrics=metrics, **first, **KEYS)
    second = {"started": "2026-11-29T06:00:00.000000Z", "params": {"depth": 16, "seed": 7}}
    error = {"type": "ValueError", "message": 'a, "b"\nc', "node": "train", "map_index": None}
    put(
        index,
        "20261129-060000-bbbbbb",
        status="failed",
        seconds=3720.0,
        error=error,
        **second,
        **KEYS,
    )
    put(
        index,
        "20261128-060000-cccccc",
        status="running",
        seconds=None,
        finished=None,
        started="2020-11-28T06:00:00.000000Z",
        pipeline="日本語",
        tags={"owner": "\x1b[31mann\u202e"},
        **KEYS,
    )
    put(
        index,
        "damaged-run",
        status="damaged",
        **dict.fromkeys(
            ["started", "finished", "seconds", "engine", "engine_ids", "user", "trigger"]
        ),
        **KEYS,
    )


def test_a_table(project: Project, index: Index) -> None:
    fill(index)
    project.variables["TZ"] = "UTC"
    done = project.levada("runs")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert " ".join(lines[0].split()) == (
        "run pipeline status started time engine depth train.auc train.loss"
    )
    assert " ".join(lines[1].split()) == (
        "20261130-060000-aaaaaa churn succeeded 2026-11-30 06:00 12.5 s local 4 0.9123 NaN"
    )
    assert "1 h 2 min" in lines[2]
    assert lines[3].split()[:3] == ["20261128-060000-cccccc", "日本語", "running"]
    assert "so far" in lines[3]
    assert lines[4].split() == ["damaged-run", "churn", "damaged"]


def test_runs_that_gc_removed(project: Project) -> None:
    run(project, "depth=1")
    removed = project.levada("gc", "--keep", "0s", "--json")
    assert json.loads(removed.stdout)["runs"]["count"] == 1, removed.stderr
    run_id = json.loads(removed.stdout)["runs"]["removed"][0]["run_id"]
    assert runs(project) == []
    (found,) = runs(project, "--where", "tags.removed is not None")
    assert (found["run_id"], found["metrics"]["train.auc"]) == (run_id, 0.1)
    shown = project.levada("runs", "--where", "tags.removed is not None").stdout
    assert "succeeded, removed" in shown
    latest = project.levada("show", "churn@latest")
    assert latest.returncode == 2, latest.stderr
    assert "there is no run of `churn`" in latest.stderr
    gone = project.levada("show", run_id)
    assert gone.returncode != 0
    assert f"has no run {run_id} of churn" in gone.stderr


def screen(project: Project, columns: int, *arguments: str) -> list[str]:
    """The lines that a command shows on a terminal of this width."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "levada_cli.main", *arguments, "--color", "never"],
            cwd=project.folder,
            env=os.environ | project.variables | {"COLUMNS": str(columns), "TERM": "xterm"},
            stdout=theirs,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while chunk := terminal.read(65_536):
                shown += chunk
        assert process.wait() == 0
    return shown.decode().replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", [24, 40, 60, 80, 100, 200])
def test_a_table_fits_the_terminal(project: Project, index: Index, columns: int) -> None:
    from levada_compiler.render.cells import width

    fill(index)
    lines = screen(project, columns, "runs")
    assert len(lines) == 5
    assert all(width(line) <= columns for line in lines)
    assert lines[0].startswith("run")
    assert "status" in lines[0]
    assert ("train.auc" in lines[0]) is (columns >= 80)
    chosen = screen(project, columns, "runs", "--columns", "run,status,tags.owner")
    assert all(width(line) <= columns for line in chosen)
    assert not ACTS.search("\n".join(chosen))
    assert chosen[0].split()[:2] == ["run", "status"]


def test_the_columns_that_were_asked_for(project: Project, index: Index) -> None:
    fill(index)
    done = project.levada(
        "runs",
        "churn",
        "--columns",
        "run,params.depth,metrics.train.auc.max",
        "--sort",
        "params.depth",
    )
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["run", "params.depth", "metrics.train.auc.max"],
        ["20261130-060000-aaaaaa", "4", "0.9123"],
        ["20261129-060000-bbbbbb", "16"],
        ["damaged-run"],
    ]


def test_more_than_the_limit(project: Project, index: Index) -> None:
    fill(index)
    done = project.levada("runs", "--limit", "3")
    assert len(done.stdout.splitlines()) == 4
    assert done.stderr == "there are more runs: --limit N, or --all\n"
    assert project.levada("runs", "--limit", "4").stderr == ""
    assert len(runs(project, "--all", "--limit", "1")) == 4


def test_csv(project: Project, index: Index) -> None:
    fill(index)
    rows = list(csv.DictReader(io.StringIO(project.levada("runs", "--csv").stdout)))
    assert rows[0]["run_id"] == "20261130-060000-aaaaaa"
    assert rows[0]["metrics.train.auc"] == "0.9123456"
    assert rows[0]["metrics.train.loss"] == "NaN"
    assert rows[0]["params.depth"] == "4"
    assert rows[0]["dirty"] == "false"
    assert rows[1]["error"] == 'ValueError: a, "b"\nc'
    done = project.levada("runs", "--csv", "--columns", "run,seconds")
    assert done.stdout.splitlines()[:2] == ["run,seconds", "20261130-060000-aaaaaa,12.5"]


def test_parquet(project: Project, index: Index) -> None:
    import polars

    fill(index)
    file = project.folder / "runs.parquet"
    assert project.levada("runs", "--parquet", str(file)).returncode == 0
    frame = polars.read_parquet(file)
    assert frame["params.depth"].to_list() == [4, 16, None, None]
    assert str(frame["metrics.train.loss"][0]) == "nan"
    assert frame.schema["started"] == polars.Datetime("us", "UTC")
    before = file.read_bytes()
    done = project.levada("runs", "--parquet", str(file))
    assert done.returncode == 2
    assert "exists: choose another file, or replace it with --force" in done.stderr
    assert file.read_bytes() == before
    assert project.levada("runs", "--parquet", str(file), "--force", "--limit", "1").returncode == 0
    assert len(polars.read_parquet(file)) == 1
    done = project.levada("runs", "--parquet", str(project.folder / "no" / "x.parquet"))
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert sorted(each.name for each in project.folder.glob("*.tmp")) == []


def test_parquet_by_polars_where_pyarrow_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    import click
    import polars
    from levada_cli.commands import parquet

    columns = {
        "run_id": ["a", "b"],
        "started": ["2026-11-30T06:00:00.000000Z", None],
        "params.x": [1, "text"],
        "metrics.m": [1, "NaN"],
    }
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    parquet.write(str(tmp_path / "a.parquet"), columns, force=False)
    frame = polars.read_parquet(tmp_path / "a.parquet")
    assert frame["params.x"].to_list() == ["1", "text"]
    assert frame["metrics.m"].to_list()[0] == 1.0
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(click.ClickException, match="pip install pyarrow"):
        parquet.write(str(tmp_path / "b.parquet"), columns, force=False)


def test_text_of_users_commands_no_terminal(project: Project, index: Index) -> None:
    fill(index)
    lines = screen(project, 120, "runs", "--columns", "pipeline,tags.owner,error.message")
    assert any("<U+202E>" in line for line in lines)
    assert not ACTS.search("\n".join(lines))
    for form in ("--json", "--csv"):
        assert not ACTS.search("\n".join(screen(project, 120, "runs", form)))


@pytest.mark.parametrize("options", [[], ["--rebuild"]], ids=" ".join)
def test_a_damaged_entry_of_the_index_is_a_warning(project: Project, options: list[str]) -> None:
    run(project)
    store = open_store(str(project.folder / ".levada"))
    store.write_once("index/log/20261201T000000.000000Z-1.json", b"?")
    done = project.levada("runs", *options)
    assert done.returncode == 0
    assert "warning: 1 document of the index in the store is damaged" in done.stderr
