"""`levada show` and `levada get`, on real runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from levada import records, run_process
from levada.store import Store, open_store
from levada_cli.commands.shown_run import Screen, run_text
from levada_cli.commands.shown_step import step_text
from levada_cli.commands.shown_values import cut, packed, shortened_name, size
from levada_compiler.render.cells import width
from levada_compiler.render.colours import Palette
from levada_records.runs import Run, read_run
from levada_records.sparklines import ASCII

from tests.engines.object_stores.servers import Bucket
from tests.records.recorded_project import Recorded, copied, record
from tests.records.schemas import assert_valid

GOOD, AGAIN, BAD = "20260101-060000-aaaaaa", "20260102-060000-bbbbbb", "20260103-060000-cccccc"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def mine(recorded: Recorded, tmp_path: Path) -> Store:
    """A copy of the store that a test may change."""
    shutil.copytree(recorded.project.store, tmp_path / "store")
    return open_store(str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def _own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index-cache"))


def levada(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "levada_cli.main", *arguments]
    environment = os.environ | {"PYTHONUTF8": "1"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


def levada_show(recorded: Recorded, *arguments: str) -> subprocess.CompletedProcess[str]:
    return levada(recorded.project.folder, "show", "--store", recorded.store.url, *arguments)


def shown(run: Run, columns: int = 100, *, colours: bool = False, **options: Any) -> str:
    return run_text(run, Screen(Palette(colours), columns), **options)


def steady(text: str) -> str:
    """A text in which times, memory and places, which are others in each run, have one form."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r" *\b\d+(\.\d)? (ms|s)\b", " SECONDS", text)
    text = re.sub(r" *\b\d+(\.\d)? MiB\b", " MEMORY", text)
    text = re.sub(r"/\S+/(runs|pipeline.py)", r"…/\1", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", text)


# ------------------------------------------------------------------ a run


def test_a_run_that_failed(recorded: Recorded) -> None:
    text = steady(shown(read_run(recorded.store, "main", BAD), 160))
    head, tree, error = text.split("\n\n")
    assert (
        head
        == f"""\
main {BAD}
status   failed in SECONDS: 5 cached, 4 done, 1 failed, 1 skipped
started  TIME by {read_run(recorded.store, "main", BAD).document["user"]}, manual, local
params   rows=4  rates=[0.1, 0.2]  depth=2  limit=-1
memory MEMORY at most in one step
CPU SECONDS
record   …/runs/main/{BAD}"""
    )
    lines = [re.sub(" +", " ", line) for line in tree.split("\n")]
    assert lines == [
        "step status time memory returned, metrics",
        f"load cached from run {GOOD} list, json, 17 B",
        f"fit[rate=0.1] cached from run {GOOD} Fit, json, 120 B loss 0.04 █▄▂▁▁ rows 4",
        f"fit[rate=0.2] cached from run {GOOD} Fit, json, 120 B loss 0.08 █▄▂▁▁ rows 4",
        f"best cached from run {GOOD} Model, json, 65 B chosen: float, json, 4 B",
        "publish",
        f" report cached from run {GOOD} Path, folder, 206 B",
        "dump done SECONDS MEMORY bytes, json, 11.7 KiB",
        " not cached: the cache is off, or nobody uses the result: `cache=True` caches it",
        "table done SECONDS MEMORY ndarray, npy, 160 B",
        " not cached: the cache is off, or nobody uses the result: `cache=True` caches it",
        "letter done SECONDS MEMORY str, json, 22 B",
        " not cached: the cache is off, or nobody uses the result: `cache=True` caches it",
        "odd done SECONDS MEMORY ABCMeta, pickle, 37 B",
        " not cached: the cache is off, or nobody uses the result: `cache=True` caches it",
        "check_2 failed, 2 attempts SECONDS MEMORY",
        " ValueError: the limit is -1",
        " not cached: input limit changed",
        "check skipped",
    ]
    assert (
        error
        == """\
failed check_2: ValueError: the limit is -1
  Traceback (most recent call last):
    File "…/pipeline.py", line 84, in check
      raise ValueError(f"the limit is {limit}\\nand it must not be negative")
  ValueError: the limit is -1
  and it must not be negative
"""
    )


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("run_id", [GOOD, AGAIN, BAD])
def test_a_run_fits_the_terminal(recorded: Recorded, run_id: str, columns: int) -> None:
    run = read_run(recorded.store, "main", run_id)
    text, _, _ = shown(run, columns).partition("failed check_2")  # a traceback is as it is
    tree = text.partition("\n\n")[2].partition("\noutput")[0]
    room = max(columns, 72)  # names, states and numbers need some
    assert max(width(line) for line in tree.split("\n")) <= room
    for step in run.steps:
        assert step.node.rpartition(".")[2] in text


def test_what_a_run_returned(recorded: Recorded) -> None:
    text = shown(read_run(recorded.store, "main", GOOD))
    assert text.endswith("\noutput 0: 7\noutput page: Path, folder, 206 B\n")


def test_a_step_that_succeeded(recorded: Recorded) -> None:
    run = read_run(recorded.store, "main", GOOD)
    text = steady(step_text(run, run.step("fit", 1), Screen(Palette(False), 120)))
    assert (
        text
        == f"""\
fit[rate=0.2] of main {GOOD}
status       done in SECONDS
started      TIME
iteration    1
cache        missed: there is no earlier run of this node
step         pipeline:fit pipeline.py:35, code DIGEST
environment  {_environment(run)}
used         memory MEMORY  CPU SECONDS  {_transfer(run)}
run params   rows=4  rates=[0.1, 0.2]  depth=2  limit=7
record       …/runs/main/{GOOD}/fit/[1]/1

inputs
  points  list, json, 17 B, DIGEST  from load
  rate    0.2  from rate
  depth   2  from params.depth

outputs
  returned  Fit, json, 120 B, DIGEST
  .model    {{"depth": 2, "weights": [0.2, 0.2]}}
  .loss     0.08

metrics
  loss  0.08  █▄▂▁▁  from 0.08 to 0.4 in 5 values
  rows  4

params
  solver  "exact"
"""
    )


def test_the_preview_of_what_a_step_returned(recorded: Recorded) -> None:
    run = read_run(recorded.store, "main", GOOD)
    array = step_text(run, run.step("table"), Screen(Palette(False), 80))
    assert "\n\npreview  float64 of 4, from 0 to 3\n  histogram █▁" in array
    folder = step_text(run, run.step("publish.report"), Screen(Palette(False), 80))
    assert "\n\npreview  a folder of 2 files, 13 bytes\n  data.txt   5\n  index.txt  8\n" in folder


def test_what_was_sampled_while_a_step_ran(mine: Store) -> None:
    path = f"runs/main/{GOOD}/load/1/record.json"
    column = {"step": [None] * 3, "time": ["t"] * 3, "value": [1e6, 3e6, 2e6]}
    series = mine.put_blob(json.dumps({"system.memory_bytes": column}).encode())
    sampled = {"last": 2e6, "min": 1e6, "max": 3e6, "count": 3, "series": series}
    record = json.loads(mine.read(path)) | {"system": {"system.memory_bytes": sampled}}
    mine.delete(path)
    mine.write_once(path, records.document(record))
    run = read_run(mine, "main", GOOD)
    text = step_text(run, run.step("load"), Screen(Palette(False), 80))
    assert "system\n  memory_bytes  1.9 MiB  ▁█▅  from 977 KiB to 2.9 MiB\n" in text
    assert run.series("load.system.memory_bytes")["value"] == [1e6, 3e6, 2e6]
    assert_valid(_json(run), "show")


def test_the_end_of_a_long_log(mine: Store) -> None:
    run = read_run(mine, "main", GOOD)
    path = mine.local_path(f"{run.folder}/load/1/log")
    assert path is not None
    lines = "".join(f"line {number}\n" for number in range(100_000))
    Path(path).write_text(lines + "\x1b[31mred\x1b[0m \x1b[2J\u202e\n")
    run = read_run(mine, "main", GOOD)
    text = step_text(run, run.step("load"), Screen(Palette(False), 80))
    log = text.partition("\n\nlog, the last 20 lines\n")[2].split("\n")
    assert log[0] == "  line 99981"
    assert log[-2] == "  red <U+202E>"
    assert "\x1b" not in text


def test_attempts_of_a_step(recorded: Recorded) -> None:
    run = read_run(recorded.store, "main", BAD)
    text = steady(step_text(run, run.step("check_2"), Screen(Palette(False), 120)))
    assert "attempts     1: failed in SECONDS (ValueError: the limit is -1)" in text
    assert "2: failed in SECONDS (ValueError: the limit is -1)" in text
    assert "\nerror: ValueError: the limit is -1\n  Traceback (most" in text
    assert "\nlog\n  checking\n" in text


def test_colours_only_where_they_are_wanted(recorded: Recorded) -> None:
    run = read_run(recorded.store, "main", BAD)
    coloured = shown(run, 60, colours=True)
    assert "\x1b[1;31mfailed\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown(run, 60), "colours take no room"
    assert "\x1b" not in shown(run)


def test_a_terminal_without_unicode(recorded: Recorded) -> None:
    run = read_run(recorded.store, "main", GOOD)
    text = run_text(run, Screen(Palette(False), 160, ASCII))
    assert "loss 0.04 #=.__" in text or re.search(r"loss 0.04 [_.\-=+*#%]{5} ", text)


def wide(store: Store, items: int) -> Run:
    """A run with a wide loop, in which the last item failed."""
    folder = f"runs/main/{GOOD}"
    record = json.loads(store.read(f"{folder}/fit/[0]/1/record.json"))
    for item in range(2, items):
        status = "failed" if item == items - 1 else "succeeded"
        made = record | {"map_index": [item], "label": f"rate={item}", "status": status}
        store.write_once(f"{folder}/fit/[{item}]/1/record.json", records.document(made))
    return read_run(store, "main", GOOD)


def test_a_wide_loop_is_folded(mine: Store) -> None:
    run = wide(mine, 60)
    text = shown(run, 120)
    assert len(re.findall(r"^fit\[rate=[\d.]+\]", text, re.M)) == 12
    assert re.search(r"^fit\[rate=59\] +failed", text, re.M), "what failed is always shown"
    assert re.search(r"^fit\[…\] +48 more +[\d.]+ s +48 done; --all shows them$", text, re.M)
    assert len(re.findall(r"^fit\[rate=[\d.]+\]", shown(run, 120, whole=True), re.M)) == 60


def test_a_run_that_is_damaged_in_places(mine: Store) -> None:
    folder = f"runs/main/{GOOD}"
    for path in (f"{folder}/load/1/record.json", f"{folder}/run.json"):
        mine.delete(path)
        mine.write_once(path, b"{")
    text = shown(read_run(mine, "main", GOOD))
    assert "status  damaged in" in text
    assert re.search(rf"^load +done.*\n  {folder}/load/1/record.json is damaged", text, re.M)
    assert f"warning: {folder}/run.json is damaged: it is no JSON object" in text
    assert re.search(r"^best +done", text, re.M)


def test_values_that_are_gone(mine: Store) -> None:
    for path, _ in list(mine.walk("blobs")):
        mine.delete(path)
    run = read_run(mine, "main", GOOD)
    assert "loss 0.04  rows 4" in shown(run)
    assert_valid(json.loads(json.dumps(_json(run))), "show")


def test_names_that_a_terminal_would_act_on(mine: Store) -> None:
    run = read_run(mine, "main", GOOD)
    assert run.document is not None
    evil = run.document | {"user": "\x1b[2Jeve", "trigger": "a\nb"}
    mine.delete(f"{run.folder}/run.json")
    mine.write_once(f"{run.folder}/run.json", records.document(evil))
    text = shown(read_run(mine, "main", GOOD))
    assert "by <U+001B>[2Jeve, a<U+000A>b" in text


# ------------------------------------------------------------------ a run that goes on


def test_a_run_that_goes_on_and_one_that_never_ended(mine: Store) -> None:
    folder = f"runs/main/{GOOD}"
    mine.delete(f"{folder}/outcome.json")
    mine.delete(f"{folder}/check_2/1/record.json")
    run = read_run(mine, "main", GOOD)
    assert run.document is not None
    ours = run_process.current()
    assert ours["started"] is not None
    for process, words, state, lost in (
        (ours, "running since ", "running", False),
        (
            ours | {"started": f"{ours['started']}0"},
            "never ended: its process is gone",
            "failed",
            True,
        ),
        (ours | {"host": "elsewhere"}, "running since ", "running", False),
    ):
        document = run.document | {"engine": {"name": "local", "process": process}}
        mine.delete(f"{folder}/run.json")
        mine.write_once(f"{folder}/run.json", records.document(document))
        found = read_run(mine, "main", GOOD)
        text = shown(found)
        assert f"status   {words}" in text
        assert re.search(rf"^check_2 +{state}", text, re.M)
        assert _json(found)["lost"] is lost
        assert_valid(_json(found), "show")


# ------------------------------------------------------------------ as JSON


def _json(run: Run) -> dict[str, Any]:
    from levada_records.run_json import run_json

    found: dict[str, Any] = json.loads(json.dumps(run_json(run)))
    return found


@pytest.mark.parametrize("run_id", [GOOD, AGAIN, BAD])
def test_json_is_as_its_schema_says(recorded: Recorded, run_id: str) -> None:
    done = levada_show(recorded, run_id, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert_valid(done.stdout, "show")
    document = json.loads(done.stdout)
    assert document["run_id"] == run_id
    assert document["params"]["depth"] == 2
    assert document["metrics"] == {"fit.loss": 0.08, "fit.rows": 4}


def test_json_of_a_run(recorded: Recorded) -> None:
    document = _json(read_run(recorded.store, "main", BAD))
    assert (document["status"], document["error"]["node"]) == ("failed", "check_2")
    assert document["outputs"] is None
    steps = {step["node"]: step for step in document["steps"]}
    assert steps["fit"]["map_index"] == [1]
    assert steps["fit"]["outputs"]["loss"] == {"display": 0.08}
    assert steps["fit"]["returns"]["type"] == "pipeline:Fit"
    assert steps["best"]["artifacts"]["chosen"]["size"] == 4
    assert steps["load"]["cache"]["from"]["run_id"] == GOOD
    assert steps["check_2"]["attempts"] == 2
    counts = {"steps": 10, "cached": 5, "failed": 1, "skipped": 1, "attempts": 11}
    assert document["counts"] == counts


def test_json_of_a_step(recorded: Recorded) -> None:
    done = levada_show(recorded, "main@latest/check_2", "--json")
    document = json.loads(done.stdout)
    assert document["cache"]["reasons"] == ["input limit changed"]
    assert_valid(document, "show")


# ------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("reference", "first"),
    [
        ("main@latest", f"main {BAD}"),
        (GOOD, f"main {GOOD}"),
        ("20260102", f"main {AGAIN}"),
        (f"main/{GOOD}", f"main {GOOD}"),
        (f"main/{GOOD}/fit[1]", f"fit[rate=0.2] of main {GOOD}"),
        (f"main/{GOOD}/fit[rate=0.2]", f"fit[rate=0.2] of main {GOOD}"),
        ("main@latest/publish.report", f"publish.report of main {BAD}"),
    ],
)
def test_runs_and_steps_are_found(recorded: Recorded, reference: str, first: str) -> None:
    done = levada_show(recorded, reference)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{first}\n")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nope", "there is no run `nope`"),
        ("nope/fit", "there is no run `nope`"),
        (
            "main@latest/fit",
            "`fit` is in a loop: name one of its 2 items, as `fit[rate=0.1]`, `fit[rate=0.2]`",
        ),
        ("main@latest/chek", "has no step `chek`; did you mean `check`?"),
        ("main@latest/xyz", "has no step `xyz`; it has best, check, check_2, dump, fit"),
        ("main@latest/fit[0].loss", "`fit[0].loss` is an output: `levada get` reads it"),
        ("2026", "`2026` means several runs"),
    ],
)
def test_what_names_nothing(recorded: Recorded, reference: str, said: str) -> None:
    done = levada_show(recorded, reference)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


LOOPS = """
from levada import Loop, pipeline, step


@step
def fit(x: int) -> int:
    if x > 2:
        raise ValueError("no")
    return x


@step
def score(value: int) -> int:
    return value


@pipeline
def main(xs: list[int] = [1, 2, 1, 3]) -> list[int]:
    found: list[int] = []
    early = [score(x) for x in xs]
    for x in xs:
        found.append(score(fit(x)))
    return found + early
"""


def test_items_of_loops_are_named_by_their_variables(tmp_path: Path) -> None:
    """Those that were skipped too; where several have the same values, they are listed."""
    (tmp_path / "pipeline.py").write_text(LOOPS)
    (tmp_path / "pyproject.toml").touch()
    said = levada(tmp_path, "run", "pipeline.py")
    assert said.returncode == 1
    assert re.search(r"^score_2\[x=3\] +skipped$", said.stderr, re.MULTILINE)
    assert re.search(
        r"^score_2\[x=3\] +skipped$", levada(tmp_path, "show", "main@latest").stdout, re.MULTILINE
    )
    for command, name in (("show", "fit[x=1]"), ("get", "fit[x=1].value")):
        done = levada(tmp_path, command, f"main@latest/{name}")
        assert (done.returncode, done.stdout) == (2, "")
        assert f"2 items look like `{name}`: `fit[x=1 #0]`, `fit[x=1 #2]`;" in done.stderr
    done = levada(tmp_path, "get", "main@latest/score_2[3]")
    assert "score_2[x=3] of run" in done.stderr


@pytest.mark.parametrize("arguments", [["runs"], ["show", "x"], ["runs", "--store", "here"]])
def test_a_broken_pyproject_is_said_with_its_place(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.levada]\nstore = \n")
    done = levada(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: pyproject.toml:2:9: Invalid value\n")


def test_the_store_of_the_project_is_the_default(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.levada]\nstore = "{recorded.project.store}"\n')
    assert levada(tmp_path, "show", "main@latest").stdout.startswith(f"main {BAD}\n")


@pytest.mark.parametrize(
    ("start", "offered"),
    [
        ("ma", {"main@latest"}),
        ("202601", {GOOD, AGAIN, BAD}),
        ("main@latest/ch", {"main@latest/check", "main@latest/check_2"}),
        (f"main/{GOOD}/fit", {f"main/{GOOD}/fit[0]", f"main/{GOOD}/fit[1]"}),
        ("nope/x", set()),
    ],
)
def test_names_are_completed(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, start: str, offered: set[str]
) -> None:
    levada_show(recorded, "main@latest")  # the index is as of then
    monkeypatch.setenv("LEVADA_STORE", recorded.store.url)
    words = {"_LEVADA_COMPLETE": "bash_complete", "COMP_WORDS": f"levada show {start}"}
    done = subprocess.run(
        [sys.executable, "-m", "levada_cli.main"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | words | {"COMP_CWORD": "2"},
    )
    assert {line.removeprefix("plain,") for line in done.stdout.split()} == offered
    assert done.stderr == ""


@pytest.mark.engine
def test_a_run_in_a_bucket(recorded: Recorded, s3: Bucket) -> None:
    there = copied(recorded, s3.url)
    done = levada_show(there, f"{GOOD}/fit[1]")
    assert (done.returncode, done.stderr) == (0, "")
    assert "loss  0.08  █▄▂▁▁" in done.stdout
    assert_valid(levada_show(there, BAD, "--json").stdout, "show")


# ------------------------------------------------------------------ outputs


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def get(recorded: Recorded, *arguments: str) -> subprocess.CompletedProcess[str]:
    return levada(Path.cwd(), "get", "--store", recorded.store.url, *arguments)


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        (f"{GOOD}/fit[1]", {"model": {"depth": 2, "weights": [0.2, 0.2]}, "loss": 0.08}),
        (f"{GOOD}/fit[1].loss", 0.08),
        (f"{GOOD}/fit[rate=0.1].loss", 0.04),
        (f"{GOOD}/fit[1].model", {"depth": 2, "weights": [0.2, 0.2]}),
        (f"{GOOD}/best.chosen", 0.04),
        (f"{GOOD}/best.weights", [0.1, 0.1]),
        (f"{GOOD}/letter", "Grüße,\nGrüße,\n"),
        (f"{AGAIN}/load", [0.0, 1.0, 2.0, 3.0]),
    ],
)
def test_plain_data_is_printed(recorded: Recorded, reference: str, value: object) -> None:
    done = get(recorded, reference)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == value


def test_what_a_pipeline_returned(recorded: Recorded) -> None:
    first, page = json.loads(get(recorded, GOOD).stdout)
    assert (first, page["type"]) == (7, "pathlib:Path")


def test_files_and_folders_are_written(recorded: Recorded, tmp_path: Path) -> None:
    done = get(recorded, f"{GOOD}/publish.report", "-o", f"{tmp_path}/")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "report" / "index.txt").read_text() == "churn: 2"
    get(recorded, f"{GOOD}/table", "-o", f"{tmp_path}/points.npy")
    assert np.load(tmp_path / "points.npy").tolist() == [0, 1, 2, 3]
    get(recorded, f"{GOOD}/dump", "-o", f"{tmp_path}/")
    assert (tmp_path / "dump.bin").read_bytes() == b"\x01" * 9000
    get(recorded, f"{GOOD}/letter", "-o", f"{tmp_path}/letter.txt")
    assert (tmp_path / "letter.txt").read_text() == "Grüße,\nGrüße,\n"
    get(recorded, f"{GOOD}/best", "-o", f"{tmp_path}/model.json")
    model = json.loads((tmp_path / "model.json").read_text())
    assert model == {"depth": 2, "weights": [0.1, 0.1]}
    assert not [name for name in names(tmp_path) if name.endswith(".part")]


def test_a_pickle_is_written_and_not_loaded(recorded: Recorded, tmp_path: Path) -> None:
    done = get(recorded, f"{GOOD}/odd", "-o", f"{tmp_path}/odd.pkl")
    assert "warning: it is a pickle: loading it runs the code that is in it" in done.stderr
    assert (tmp_path / "odd.pkl").read_bytes()[:1] == b"\x80"


def test_nothing_is_overwritten_unless_it_may_be(recorded: Recorded, tmp_path: Path) -> None:
    target = tmp_path / "points.npy"
    target.write_text("mine")
    done = get(recorded, f"{GOOD}/table", "-o", str(target))
    assert done.returncode == 1
    assert done.stderr == f"error: {target} is there already; --force replaces it\n"
    assert target.read_text() == "mine"
    assert get(recorded, f"{GOOD}/table", "-o", str(target), "--force").returncode == 0
    assert np.load(target).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("output", ["publish.report", "table"])
def test_a_folder_is_never_replaced(recorded: Recorded, tmp_path: Path, output: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    done = get(recorded, f"{GOOD}/{output}", "-o", f"{tmp_path}/out", "--force")
    assert done.returncode == 1
    assert "is a folder, which is never replaced; remove it, or write" in done.stderr
    assert names(tmp_path / "out") == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            [f"{GOOD}/table"],
            2,
            "table is ndarray, npy, 160 B: write it to a path, as `-o table.npy`",
        ),
        ([f"{GOOD}/publish.report"], 2, "is a folder: write it to a path, as `-o report`"),
        ([f"{GOOD}/dump"], 2, "dump is bytes, 11.7 KiB: write it to a path, as `-o dump.bin`"),
        ([f"{GOOD}/best.x"], 2, "best has no output `x`; it has depth, weights, chosen"),
        ([f"{GOOD}/check"], 2, f"check of run {GOOD} has no output: it is skipped"),
        ([f"{BAD}/check_2"], 2, f"check_2 of run {BAD} has no output: it is failed"),
        ([BAD], 2, f"run {BAD} has returned nothing: it is failed"),
        ([f"{GOOD}/fit[0].x"], 2, "fit[rate=0.1] has no output `x`; it has model, loss"),
        ([f"{GOOD}/table", "--force"], 2, "--force is for -o"),
        ([f"{GOOD}/table", "-o", "no/such/x"], 1, "cannot write no/such/x: there is no folder"),
    ],
)
def test_what_cannot_be_got(
    recorded: Recorded, arguments: list[str], status: int, said: str
) -> None:
    done = get(recorded, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_to_put_it_in_is_made(recorded: Recorded, tmp_path: Path) -> None:
    done = get(recorded, f"{GOOD}/table", "-o", f"{tmp_path}/models/here/")
    assert (done.returncode, done.stdout) == (0, "")
    assert names(tmp_path / "models" / "here") == ["table.npy"]


@pytest.mark.parametrize("output", ["table", "publish.report", "best"])
def test_a_blob_that_is_damaged_leaves_nothing_behind(
    mine: Store, tmp_path: Path, output: str
) -> None:
    run = read_run(mine, "main", GOOD)
    record = run.step(output).record
    assert record is not None
    assert record["returns"] is not None
    name = record["returns"]["digest"].removeprefix("sha256:")
    blob = tmp_path / "store" / "blobs" / "sha256" / name[:2] / name
    blob.chmod(0o644)
    blob.write_bytes(b"x" * record["returns"]["size"])
    folder = tmp_path / "out"
    folder.mkdir()
    done = levada(folder, "get", "--store", mine.url, f"{GOOD}/{output}", "-o", f"{folder}/")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert names(folder) == []


@pytest.mark.engine
def test_outputs_in_a_bucket(recorded: Recorded, s3: Bucket, tmp_path: Path) -> None:
    there = copied(recorded, s3.url)
    assert json.loads(get(there, f"{GOOD}/fit[1].loss").stdout) == 0.08
    assert get(there, f"{GOOD}/publish.report", "-o", f"{tmp_path}/").returncode == 0
    assert (tmp_path / "report" / "data.txt").read_text() == "1 2 3"


# ------------------------------------------------------------------ parts of lines


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1_500_000, "1.4 MiB"), (2**37, "128 GiB")],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


def test_lines_are_cut_and_packed() -> None:
    assert cut("日本語", 5) == "日本…"
    assert shortened_name("fit[path=data/part-7.csv]", 15) == "fit[pat…-7.csv]"
    assert packed(["aaa", "bb", "c", "dddddddd"], 7) == ["aaa  bb", "c", "dddddd…"]


def _environment(run: Run) -> str:
    record = run.step("fit", 1).record
    assert record is not None
    environment = record["environment"]
    return f"Python {environment['python']}  {environment['platform']}"


def _transfer(run: Run) -> str:
    record = run.step("fit", 1).record
    assert record is not None
    used = record["resources"]
    words = f"read {size(used['read_bytes'])}  wrote {size(used['written_bytes'])}"
    return steady(words).strip()
