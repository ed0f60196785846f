"""`levada.runs`: the runs of a project in Python, as a notebook uses them."""

from __future__ import annotations

import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import levada.runs
import nbclient
import nbformat
import numpy as np
import pytest
from levada import index_log
from levada.artifact import MaterializerError
from levada.runs import MissingOutput, MissingStep, Run, RunNotFound, runs
from levada.store import StoreError
from levada_records import interface
from levada_records.index import open_index
from levada_records.query import QueryError

from tests.records.recorded_project import Recorded

GOOD, AGAIN, BAD = "20260101-060000-aaaaaa", "20260102-060000-bbbbbb", "20260103-060000-cccccc"


@pytest.fixture(autouse=True)
def _no_project_between_tests() -> Iterator[None]:
    path = sys.path[:]
    # Other tests run projects in this process, which have a module of this name too.
    sys.path[:] = [folder for folder in path if not Path(folder, "pipeline.py").exists()]
    sys.modules.pop("pipeline", None)
    yield
    interface.runs._place = None
    sys.path[:] = path
    sys.modules.pop("pipeline", None)


@pytest.fixture
def here(recorded: Recorded) -> Recorded:
    """The project whose runs are asked for, with its store in each kind of place."""
    levada.runs.project(recorded.project.folder, store=recorded.store.url)
    return recorded


@pytest.fixture
def in_files(in_folder: Recorded) -> Recorded:
    levada.runs.project(in_folder.project.folder, store=in_folder.store.url)
    return in_folder


# ------------------------------------------------------------------ many runs


@pytest.mark.usefixtures("here")
def test_runs_are_found() -> None:
    assert [run.run_id for run in runs("main")] == [BAD, AGAIN, GOOD]
    assert [run.run_id for run in runs(where="status == 'failed'")] == [BAD]
    found = runs("main", where="params.limit == 7", order_by="started", limit=1)
    assert [run.run_id for run in found] == [GOOD]
    assert list(runs("another")) == []


@pytest.mark.usefixtures("in_files")
def test_a_table_reads_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the index has is not read from the store again."""
    found = list(runs("main"))
    monkeypatch.setattr("levada_records.runs.read_document", None)
    shown = [(run.status, run.params["limit"], run.metrics["fit.loss"]) for run in found]
    assert shown == [("failed", -1, 0.08), ("succeeded", 7, 0.08), ("succeeded", 7, 0.08)]


@pytest.mark.usefixtures("in_files")
def test_a_frame_of_pandas() -> None:
    frame = runs("main").to_pandas()
    assert frame["run_id"].tolist() == [BAD, AGAIN, GOOD]
    assert frame["params.limit"].tolist() == [-1, 7, 7]
    assert frame["metrics.fit.loss"].tolist() == [0.08] * 3
    assert str(frame["started"].dtype).startswith("datetime64[")
    assert frame["started"].dt.tz is not None
    assert frame.dtypes["metrics.fit.loss"] == np.float64


@pytest.mark.usefixtures("in_files")
def test_a_frame_of_polars() -> None:
    frame = runs("main").to_polars()
    assert frame["run_id"].to_list() == [BAD, AGAIN, GOOD]
    assert frame["params.limit"].to_list() == [-1, 7, 7]
    assert str(frame.schema["started"]).startswith("Datetime(")


@pytest.mark.usefixtures("in_files")
def test_frames_of_no_runs() -> None:
    assert len(runs("another").to_pandas()) == 0
    assert len(runs("another").to_polars()) == 0
    assert runs("another")._repr_html_() == "<p>no runs</p>"


@pytest.mark.usefixtures("in_files")
def test_a_condition_that_makes_no_sense() -> None:
    with pytest.raises(QueryError):
        list(runs(where="metrics.train.auc >"))


# ------------------------------------------------------------------ one run


@pytest.mark.usefixtures("here")
def test_a_run() -> None:
    run = runs.get(GOOD)
    assert (run.status, run.params["depth"], run.metrics["fit.loss"]) == ("succeeded", 2, 0.08)
    assert run.series("fit.loss", 0)["value"][0] == 0.2
    assert run.logs("load") == "loading 4 rows\n"
    assert runs.get("main@latest").run_id == BAD


@pytest.mark.usefixtures("in_files")
def test_runs_are_compared() -> None:
    compared = runs.get(GOOD).compare(runs.get(BAD))
    assert [(row["name"], row["values"]) for row in compared.params] == [("limit", [7, -1])]


@pytest.mark.usefixtures("here")
def test_values_are_loaded() -> None:
    run = runs.get(GOOD)
    assert run.step("table").returns is not None
    assert run.step("table").returns.load().tolist() == [0, 1, 2, 3]
    best = run.step("best")
    assert best.outputs["weights"].load() == [0.1, 0.1]
    assert best.outputs["chosen"].load() == 0.04
    model = best.output("").load()
    assert (type(model).__name__, model.depth) == ("Model", 2)
    assert type(model).__module__ == "pipeline"
    fit = run.step("fit", 1)
    assert fit.outputs["model"].load().weights == [0.2, 0.2]
    assert fit.outputs["model"].load(as_data=True) == {"depth": 2, "weights": [0.2, 0.2]}


@pytest.mark.usefixtures("here")
def test_files_are_opened() -> None:
    run = runs.get(GOOD)
    report = run.step("publish.report").output("")
    assert (report.path() / "index.txt").read_text() == "churn: 2"
    assert (report.load() / "data.txt").read_text() == "1 2 3"
    with pytest.raises(MaterializerError, match=r"is a folder: path\(\) gives a copy of it"):
        report.open()
    with run.step("dump").output("").open() as file:
        assert file.read() == b"\x01" * 9000
    table = run.step("table").output("")
    assert np.load(table.path()).tolist() == [0, 1, 2, 3]
    with table.open() as file:
        assert file.read(6) == b"\x93NUMPY"


@pytest.mark.usefixtures("in_files")
def test_a_pickle_is_loaded_only_if_that_is_allowed() -> None:
    odd = runs.get(GOOD).step("odd").output("")
    with pytest.raises(MaterializerError, match="load it with allow_pickle=True if you trust"):
        odd.load()
    assert odd.load(allow_pickle=True).__name__ == "Fraction"


def test_a_class_of_a_project_that_is_not_there(
    in_folder: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEVADA_STORE", in_folder.store.url)
    monkeypatch.chdir(tmp_path)
    best = runs.get(GOOD).step("best").output("")
    with pytest.raises(MaterializerError, match=r"load\(as_data=True\) returns it as plain data"):
        best.load()
    assert best.load(as_data=True) == {"depth": 2, "weights": [0.1, 0.1]}


def test_modules_that_the_pipeline_does_not_import_are_not_run(
    in_folder: Recorded, tmp_path: Path
) -> None:
    """What the store names as a class cannot have any script of the project run."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "pipeline.py").write_text("import json\n")
    (folder / "wipe.py").write_text("raise SystemExit('it ran')\nclass Model: pass\n")
    levada.runs.project(folder, store=in_folder.store.url)
    run = runs.get(GOOD)
    output = interface.Output("x", {"$dataclass": ["wipe:Model", {}]}, run)
    with pytest.raises(MaterializerError, match="wipe is neither imported nor a module that"):
        output.load()


@pytest.mark.usefixtures("in_files")
def test_what_is_not_there() -> None:
    run = runs.get(GOOD)
    with pytest.raises(RunNotFound, match="there is no run `nope`"):
        runs.get("nope")
    with pytest.raises(MissingStep, match="has no step train; it has best"):
        run.step("train")
    with pytest.raises(MissingStep, match=r"has no step fit; it has fit\[0\] to fit\[1\]"):
        run.step("fit")
    with pytest.raises(MissingStep, match=r"has no metric fit.x; its metrics: fit.loss, fit.rows"):
        run.series("fit.x", 0)
    with pytest.raises(MissingOutput, match="has no output `x`; it has depth, weights, chosen"):
        run.step("best").output("x")
    assert run.step("check").returns is None
    assert not run.step("check").outputs


def test_a_store_that_is_none() -> None:
    levada.runs.project(".", store="hdfs://cluster/levada")
    with pytest.raises(StoreError, match="no store for hdfs:// is installed"):
        runs.get("main@latest")


def test_tags_and_a_note(mine: Recorded) -> None:
    levada.runs.project(mine.project.folder, store=mine.store.url)
    run = runs.get(GOOD)
    run.tag(owner="mila", stage="test")
    run.tag({"stage": None, "a/b": "c"})
    run.note = "the first good one"
    assert (run.tags, run.note) == ({"a/b": "c", "owner": "mila"}, "the first good one")
    found = list(runs(where="tags.owner == 'mila'"))
    assert [each.run_id for each in found] == [GOOD]
    assert runs.get(GOOD).note == "the first good one"
    run.note = ""
    assert run.note is None
    assert runs.get(GOOD).note is None
    assert list(runs(where="note is not None")) == []
    with pytest.raises(TypeError, match="the tag 'n' must be a text or None, not 5"):
        run.tag({"n": 5})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="`a b` is no name of a tag"):
        run.tag({"a b": "c"})
    with pytest.raises(ValueError, match="more than 1,000: write a note"):
        run.tag(n="x" * 1001)
    with pytest.raises(ValueError, match="no text in UTF-8"):
        run.note = "\ud800"
    with pytest.raises(ValueError, match="longer than 64 KiB"):
        run.note = "x" * 70_000
    assert run.tags == {"a/b": "c", "owner": "mila"}


def test_a_tag_of_a_user_without_a_name(mine: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    levada.runs.project(mine.project.folder, store=mine.store.url)
    run = runs.get(GOOD)
    run.tag(owner="mila")
    assert run.tags == {"owner": "mila"}


def test_a_tag_that_the_log_does_not_have(mine: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("you may not write to index/log")

    levada.runs.project(mine.project.folder, store=mine.store.url)
    run = runs.get(GOOD)
    monkeypatch.setattr(index_log, "_write", refuse)
    with pytest.warns(UserWarning, match=r"it is written at the run.*levada runs --rebuild"):
        run.tag(owner="mila")
    assert run.tags == {"owner": "mila"}


def test_a_loop_over_runs_keeps_nobody_from_writing(mine: Recorded) -> None:
    levada.runs.project(mine.project.folder, store=mine.store.url)
    for run in runs("main"):
        run.tag(seen="yes")
        with open_index(mine.store) as index:
            list(index.execute("BEGIN EXCLUSIVE"))
            list(index.execute("ROLLBACK"))
    assert len(list(runs(where="tags.seen == 'yes'"))) == 3


def test_an_entry_of_a_newer_levada_is_a_warning(mine: Recorded) -> None:
    levada.runs.project(mine.project.folder, store=mine.store.url)
    name = f"{index_log.entry_time(time.time_ns())}-1.json"
    mine.store.write_once(f"{index_log.FOLDER}/{name}", b'{"schema": "levada.index/2"}')
    with pytest.warns(UserWarning, match="1 document of the index .* is damaged or of a newer"):
        assert len(list(runs("main"))) == 3


def test_a_run_that_gc_has_removed(mine: Recorded) -> None:
    levada.runs.project(mine.project.folder, store=mine.store.url)
    index_log.write_removed(mine.store, "main", GOOD)
    with pytest.raises(RunNotFound, match=f"levada gc has removed the run main/{GOOD} on 2"):
        runs.get(GOOD)


def test_odd_rows_of_the_index_break_no_table(mine: Recorded) -> None:
    levada.runs.project(mine.project.folder, store=mine.store.url)
    with open_index(mine.store) as index:
        metrics = '{"a.b": 1, "c.d": {"last": "x"}, "e.f": {}}'
        sql = "UPDATE runs SET metrics = ?, started = ?, finished = ? WHERE run_id = ?"
        list(index.execute(sql, [metrics, "yesterday", "9", GOOD]))
    found = runs("main")
    assert found.to_pandas()["started"].isna().sum() == 1
    assert found.to_polars()["started"].null_count() == 1
    assert found._repr_html_().count("<tr>") == 4
    assert [run.metrics for run in found if run.run_id == GOOD] == [{}]


# ------------------------------------------------------------------ as HTML


@pytest.mark.usefixtures("in_files")
def test_html_is_escaped() -> None:
    run = runs.get(GOOD)
    evil = "<script>alert('x')</script>"
    made = interface.Output(evil, evil, run)
    for html in (made._repr_html_(), _html_of(run, evil)):
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def _html_of(run: Run, text: str) -> str:
    document = run.document
    assert document is not None
    document["parameters"]["display"] = {text: text}
    return run._repr_html_()


@pytest.mark.usefixtures("in_files")
def test_html_of_runs() -> None:
    html = runs("main")._repr_html_()
    assert html.startswith("<table><thead><tr><th>run_id</th><th>pipeline</th><th>status</th>")
    assert html.count("<tr>") == 4


@pytest.mark.usefixtures("in_files")
def test_html_of_a_run_and_an_output() -> None:
    html = runs.get(BAD)._repr_html_()
    assert "<td>fit[rate=0.1]</td><td>cached</td>" in html
    assert "<b>ValueError</b>: the limit is -1" in html
    output = runs.get(GOOD).step("fit", 0).output("")._repr_html_()
    assert output.startswith("<p><b>fit[rate=0.1]</b>: pipeline:Fit, json, 120 bytes</p><pre>{")


# ------------------------------------------------------------------ the module


def test_a_step_does_not_pay_for_it() -> None:
    code = "import sys, levada, levada.runs; print([m for m in sys.modules if 'levada' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "levada_records" not in done.stdout
    assert "levada.runs" in done.stdout


def test_an_image_of_a_step_has_no_such_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name="levada_records")

    monkeypatch.setattr("importlib.import_module", missing)
    monkeypatch.delattr(levada.runs, "Runs", raising=False)
    with pytest.raises(ImportError, match="which images of steps do not have"):
        _ = levada.runs.Runs


def test_names_of_the_module() -> None:
    assert dir(levada.runs) == sorted(levada.runs.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        levada.runs.nope  # type: ignore[attr-defined]  # noqa: B018


def test_a_notebook(in_folder: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a real kernel: what is shown of runs, a run and an output, and a class of the project."""
    monkeypatch.setenv("LEVADA_STORE", in_folder.store.url)
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    cells = [
        "from levada.runs import runs\nruns('main')",
        "run = runs.get('20260101')\nrun",
        "run.step('best').returns",
        "run.step('best').returns.load().depth",
        "runs('main', order_by='started').to_pandas()['params.limit'].tolist()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(in_folder.project.folder)}},
    ).execute()
    shown = [cell["outputs"][0]["data"] for cell in notebook.cells]
    assert shown[0]["text/html"].count("<tr>") == 4
    assert f"<b>main</b> {GOOD}" in shown[1]["text/html"]
    assert "<b>best</b>: pipeline:Model, json, 65 bytes" in shown[2]["text/html"]
    assert shown[3]["text/plain"] == "2"
    assert shown[4]["text/plain"] == "[7, 7, -1]"


def test_the_module_is_called_as_what_it_holds(
    in_folder: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEVADA_STORE", in_folder.store.url)
    from levada import runs as module

    assert [run.run_id for run in module()] == [run.run_id for run in module.runs()]
