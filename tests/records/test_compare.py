"""`levada_records.compare`: what differs between real runs of a project that changes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import levada_records
import pytest
from levada.store import open_store
from levada.stores.transfer import copy
from levada_records.compare import SECTIONS, Comparison, compare, compare_runs
from levada_records.references import RunNotFound
from levada_records.runs import Run, read_run

from tests.engines.object_stores.servers import Bucket
from tests.records.compared_project import ComparedProject

SCHEMA = json.loads((Path(levada_records.__file__).parent / "schemas" / "compare.json").read_text())

#: Each run, and what is done to the project before it.
RUNS: dict[str, list[tuple[str, str, str]]] = {
    "first": [],
    "again": [],
    "parameters": [],
    "others": [],
    "helper": [("cleaning.py", "point >= 0", "point > 0")],
    "formatted": [
        ("cleaning.py", "# what is negative is wrong", "# nothing negative, please"),
        ("cleaning.py", "def unused():\n    return 1", "def unused():\n    return 2"),
        ("cleaning.py", '"""Cleans."""', '"""Cleans well."""'),
    ],
    "constant": [("cleaning.py", "SCALE = 2.0", "SCALE = 3.0")],
    "pipeline": [
        ("pipeline.py", "@step\ndef best", "@step(retry=Retry(count=1, delay=0))\ndef best"),
        ("pipeline.py", "points = load(rows)", "points = load(rows + 1)"),
    ],
    "moved": [],
}

PARAMETERS: dict[str, dict[str, Any]] = {
    "parameters": {"rows": 6, "rates": [0.1, 0.3, 0.4]},
    "others": {"rates": [0.3, 0.4, 0.5]},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ComparedProject:
    project = ComparedProject(tmp_path_factory.mktemp("compared"))
    for run_id, edits in RUNS.items():
        for edit in edits:
            project.edit(*edit)
        if run_id == "moved":
            shutil.move(project.folder / "cleaning.py", project.folder / "tidying.py")
            project.edit("pipeline.py", "from cleaning", "from tidying")
        project.run(run_id, **PARAMETERS.get(run_id, {}))
    return project


def compared(project: ComparedProject, *run_ids: str, **options: Any) -> Comparison:
    comparison = compare_runs([project.read(run_id) for run_id in run_ids], **options)
    for everything in (False, True):
        document = comparison.as_json(everything=everything)
        jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), SCHEMA)
    return comparison


def by_name(rows: Any) -> dict[str, list[Any]]:
    return {row["name"]: row["values"] for row in rows}


def changes(comparison: Comparison) -> list[tuple[str, str, str]]:
    return [(row["change"], row["kind"], row["function"]) for row in comparison.code]


def test_two_runs_of_the_same_differ_in_nothing_but_the_cache(made: ComparedProject) -> None:
    comparison = compared(made, "first", "again")
    for section in SECTIONS:
        if section != "steps":
            assert getattr(comparison, section) == [], section
    assert all(row["values"][1]["cached"] for row in comparison.steps)
    assert [run["run_id"] for run in comparison.runs] == ["first", "again"]


def test_parameters(made: ComparedProject) -> None:
    comparison = compared(made, "first", "parameters")
    found = by_name(comparison.params)
    assert found["rows"] == [4, 6]
    assert found["rates"] == [[0.1, 0.2], [0.1, 0.3, 0.4]]
    assert by_name(comparison.all("params"))["fit[rate=0.1].solver"] == [
        "exact",
        "exact",
    ]


def test_items_of_loops_are_matched_by_their_values(made: ComparedProject) -> None:
    rows = {row["name"]: row for row in compared(made, "first", "parameters").metrics}
    assert "fit[rate=0.1].auc" not in rows, "it is the same"
    assert rows["fit[rate=0.2].auc"]["values"] == [0.8, None]
    third = rows["fit[rate=0.4].loss"]
    assert third["values"] == [None, pytest.approx(0.08)]
    assert (third["missing"], third["changes"], third["counts"]) == ([0], [None, None], [0, 5])


def test_items_that_have_no_value_in_common_are_matched_by_their_places(
    made: ComparedProject,
) -> None:
    rows = {row["name"]: row for row in compared(made, "first", "others").metrics}
    assert set(rows) == {f"fit[{item}].{name}" for item in range(3) for name in ("auc", "loss")}
    second = rows["fit[1].auc"]
    assert second["values"] == [0.8, 0.6]
    assert second["changes"] == [0.0, pytest.approx(-0.2)]
    assert second["percents"] == [0.0, pytest.approx(-25)]
    assert (second["largest"], second["smallest"], second["best"]) == (0, 1, None)


def test_the_best_run_is_named_where_better_is_defined(made: ComparedProject) -> None:
    options = {"maximize": ["auc"], "minimize": ["fit.loss"]}
    rows = compared(made, "others", "first", **options).metrics
    best = {row["name"]: row["best"] for row in rows}
    assert best["fit[1].auc"] == 1
    assert best["fit[1].loss"] == 1
    assert best["fit[2].auc"] is None


def test_series_of_a_metric(made: ComparedProject) -> None:
    comparison = compared(made, "first", "others")
    (row,) = (row for row in comparison.metrics if row["name"] == "fit[1].loss")
    first, second = comparison.series(row)
    assert first == pytest.approx([0.2 / epoch for epoch in range(1, 6)])
    assert second == pytest.approx([0.4 / epoch for epoch in range(1, 6)])


def test_a_change_in_a_helper_of_another_module(made: ComparedProject) -> None:
    comparison = compared(made, "first", "helper")
    assert changes(comparison) == [("changed", "class", "Cleaner")]
    (row,) = comparison.code
    assert (row["file"], row["steps"], row["runs"]) == ("cleaning.py", ["pipeline:fit"], [1])
    assert row["diff"] is not None
    assert row["diff"].splitlines()[:2] == ["--- a/cleaning.py", "+++ b/cleaning.py"]
    assert "-        return point >= 0" in row["diff"]
    assert "+        return point > 0" in row["diff"]
    assert "@@ -6,4 +6,4 @@" in row["diff"]  # the lines of the file
    assert comparison.code_problems == []


def test_comments_docstrings_and_what_no_step_reaches_are_no_change(made: ComparedProject) -> None:
    assert changes(compared(made, "helper", "formatted")) == []


def test_a_constant(made: ComparedProject) -> None:
    comparison = compared(made, "formatted", "constant")
    assert changes(comparison) == [("changed", "constant", "SCALE")]
    assert comparison.code[0]["steps"] == ["pipeline:load"]
    assert by_name(comparison.outputs)["load"][1]["display"] == [0.0, 3.0, 6.0, 9.0]


def test_settings_of_a_step_and_the_pipeline_itself(made: ComparedProject) -> None:
    assert changes(compared(made, "constant", "pipeline")) == [
        ("changed", "function", "best"),
        ("changed", "function", "churn"),
    ]


def test_code_that_only_moved_to_another_file(made: ComparedProject) -> None:
    moved = changes(compared(made, "pipeline", "moved"))
    assert [name for _, _, name in moved if name in ("clean", "Cleaner", "SCALE")] == [
        "SCALE",
        "clean",
    ], "the imports of these names"
    assert {kind for _, kind, _ in moved} == {"import"}


def test_several_runs_are_compared_with_the_first(made: ComparedProject) -> None:
    comparison = compared(made, "first", "helper", "formatted", "constant")
    found = [(row["function"], row["runs"]) for row in comparison.code]
    # The docstring is no change, but it is in the diff.
    assert found == [("Cleaner", [1]), ("Cleaner", [2, 3]), ("SCALE", [3])]


def test_inputs_and_outputs(made: ComparedProject) -> None:
    comparison = compared(made, "first", "parameters")
    inputs = by_name(comparison.inputs)
    assert [cell["size"] for cell in inputs["fit[rate=0.1].points"]] == [17, 26]
    assert "fit[rate=0.3].points" not in inputs, "only one run has that step"
    others = by_name(compared(made, "first", "others").inputs)
    assert [cell["display"] for cell in others["fit[1].rate"]] == [0.2, 0.4]
    outputs = by_name(comparison.outputs)
    assert [cell["display"] for cell in outputs["result"]] == [pytest.approx(2.4), 12.0]
    assert "fit[rate=0.1]" in outputs


def test_steps_that_one_run_has(made: ComparedProject) -> None:
    steps = by_name(compared(made, "first", "parameters").steps)
    assert steps["fit[rate=0.3]"][0] is None
    assert steps["fit[rate=0.3]"][1]["status"] == "succeeded"


# ---------------------------------------------------------------- records edited by hand


@pytest.fixture
def mine(made: ComparedProject, tmp_path: Path) -> ComparedProject:
    """The same runs in a store that a test may change."""
    shutil.copytree(made.url, tmp_path / "store")
    project = ComparedProject(tmp_path / "project")
    project.url = str(tmp_path / "store")
    return project


def _with_packages(
    project: ComparedProject, run_id: str, node: str, packages: dict[str, str]
) -> None:
    record = project.read(run_id).step(node).record
    assert record is not None
    project.change(
        f"runs/churn/{run_id}/{node}/1/record.json",
        environment=record["environment"] | {"packages": packages, "python": "3.12.1"},
    )


def test_packages(mine: ComparedProject) -> None:
    _with_packages(mine, "first", "load", {"numpy": "1.26.0", "old": "1.0"})
    _with_packages(mine, "helper", "load", {"numpy": "2.0.0", "new": "1.0"})
    document = mine.read("helper").document
    assert document is not None
    installed = document["environment"]["packages"] | {"another": "7"}
    mine.change(
        "runs/churn/helper/run.json", environment=document["environment"] | {"packages": installed}
    )
    rows = compared(mine, "first", "helper").packages
    assert [(row["name"], row["values"], row["change"], row["used"]) for row in rows] == [
        ("new", [None, "1.0"], "added", True),
        ("numpy", ["1.26.0", "2.0.0"], "changed", True),
        ("old", ["1.0", None], "removed", True),
        ("another", [None, "7"], "added", False),
    ]


def test_steps_of_one_run_with_different_packages_and_pythons(mine: ComparedProject) -> None:
    _with_packages(mine, "helper", "load", {"numpy": "1.26.0"})
    _with_packages(mine, "helper", "best", {"numpy": "2.0.0"})
    _with_packages(mine, "first", "load", {"numpy": "1.26.0"})
    comparison = compared(mine, "first", "helper")
    assert [(row["step"], row["values"]) for row in comparison.packages if row["used"]] == [
        ("pipeline:best", [None, "2.0.0"])
    ]
    python = by_name(comparison.environment)["python (pipeline:best)"]
    assert python[0] != python[1] == "3.12.1"


def test_a_metric_that_is_no_number(mine: ComparedProject) -> None:
    record = mine.read("helper").step("fit", 0).record
    assert record is not None
    metrics: list[Any] = [{**each, "value": "NaN"} for each in record["metrics"]]
    mine.change("runs/churn/helper/fit/[0]/1/record.json", metrics=metrics)
    (row,) = (r for r in compared(mine, "first", "helper").metrics if r["metric"] == "auc")
    assert (row["values"], row["changes"]) == ([0.9, "NaN"], [0.0, None])


def test_sources_that_were_not_recorded(mine: ComparedProject) -> None:
    """The digests of the code still say which steps run other code."""
    mine.change("runs/churn/helper/run.json", sources=None)
    comparison = compared(mine, "first", "helper")
    assert changes(comparison) == [("changed", "step", "fit")]
    assert comparison.code[0]["diff"] is None
    assert comparison.code_problems == [
        "run helper: the run has stored neither its sources nor a commit"
    ]


def test_sources_from_the_commit_of_a_run(mine: ComparedProject) -> None:
    """As on Airflow: neither the plan nor the sources are stored; the repository has them."""

    def git(*words: str) -> str:
        options = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        command = ["git", "-C", str(mine.folder), *options, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    for run_id, edit in (("first", None), ("helper", ("point >= 0", "point > 0"))):
        if edit is not None:
            mine.edit("cleaning.py", *edit)
        git("add", "--all")
        git("commit", "--quiet", "--message", run_id)
        found = {
            "commit": git("rev-parse", "HEAD"),
            "branch": "main",
            "dirty": False,
            "remote": None,
            "diff": None,
            "untracked": [],
        }
        mine.change(f"runs/churn/{run_id}/run.json", sources=None, plan=None, git=found)
    runs = [mine.read("first"), mine.read("helper")]
    comparison = compare_runs(runs, project=str(mine.folder))
    assert changes(comparison) == [("changed", "class", "Cleaner")]
    assert comparison.code_problems == []
    assert "commit" in by_name(comparison.environment)
    assert changes(compare_runs(runs)) == [("changed", "step", "fit")], "the project is not here"


@pytest.mark.parametrize(
    "files",
    [
        {"../../../../../../etc/evil.py": {"text": "x = 1"}, "a/../../b.py": {"text": ""}},
        {"/etc/evil.py": {"text": "x = 1"}},
        {"pipeline.py": {"text": "def broken("}, "cleaning.py": {"text": "\0"}},
        {"pipeline.py": {"text": "(" * 5000}},
        {"pipeline.py": {"text": ""}, "pipeline.py/inner.py": {"text": ""}},
        {},
    ],
    ids=["climbing", "absolute", "no-python", "deep", "file-as-folder", "nothing"],
)
def test_sources_that_are_not_what_they_should_be(mine: ComparedProject, files: Any) -> None:
    blob = json.dumps({"schema": "levada.sources/1", "files": files}).encode()
    mine.change("runs/churn/helper/run.json", sources=mine.store.put_blob(blob))
    comparison = compared(mine, "first", "helper")
    assert changes(comparison) == [("changed", "step", "fit")]
    assert len(comparison.code_problems) == 1


def test_damaged_documents_hide_nothing_else(mine: ComparedProject) -> None:
    Path(mine.url, "runs/churn/parameters/fit/[1]/1/record.json").write_text("{")
    Path(mine.url, "runs/churn/parameters/run.json").write_text("[]")
    comparison = compared(mine, "first", "parameters")
    second = comparison.runs[1]
    assert second["status"] == "damaged"
    assert len(second["problems"]) == 2
    assert by_name(comparison.metrics)["fit[rate=0.4].auc"] == [None, 0.6]
    assert by_name(comparison.params)["rows"] == [4, None]
    assert by_name(comparison.metrics)["fit[rate=0.2].auc"] == [0.8, None]


def test_series_whose_blob_is_gone(mine: ComparedProject) -> None:
    comparison = compared(mine, "first", "others")
    (row,) = (row for row in comparison.metrics if row["name"] == "fit[1].loss")
    record = mine.read("first").step("fit", 1).record
    assert record is not None
    digest = next(each["series"] for each in record["metrics"] if each["name"] == "loss")
    mine.store.delete(f"blobs/sha256/{digest[7:9]}/{digest[7:]}")
    assert comparison.series(row)[0] is None
    assert comparison.series(row)[1] is not None


def test_runs_of_different_pipelines(made: ComparedProject, tmp_path: Path) -> None:
    other = ComparedProject(tmp_path / "other")
    other.url = made.url
    other.edit("pipeline.py", "def churn", "def loss")
    other.run("other", rows=5)
    first = made.read("first")
    comparison = compare_runs([first, read_run(first.store, "loss", "other")])
    assert by_name(comparison.params) == {"rows": [4, 5]}
    assert "load" in by_name(comparison.outputs)
    assert [run["pipeline"] for run in comparison.runs] == ["churn", "loss"]
    assert changes(comparison) == [("removed", "function", "churn"), ("added", "function", "loss")]


def test_runs_are_found_by_their_references(
    made: ComparedProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index"))
    comparison = compare(made.store, ["churn/first", "churn@latest"])
    assert [run["run_id"] for run in comparison.runs] == ["first", "moved"]
    assert changes(made.read("first").compare(made.read("helper"))) == [
        ("changed", "class", "Cleaner")
    ]
    with pytest.raises(RunNotFound, match="there is no run"):
        compare(made.store, ["first", "nothing"])


def test_one_run_is_no_comparison(made: ComparedProject) -> None:
    with pytest.raises(ValueError, match="two runs"):
        compare_runs([made.read("first")])


# ---------------------------------------------------------------- buckets, notebooks


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.engine)])
def test_a_store_in_a_bucket(
    made: ComparedProject, kind: str, request: pytest.FixtureRequest
) -> None:
    url = "memory://tests/compare"
    if kind == "s3":
        bucket: Bucket = request.getfixturevalue("s3")
        url = bucket.url
    store = open_store(url)
    assert copy(made.store, store, lambda *_: None) == []

    def read(run_id: str) -> Run:
        return read_run(store, "churn", run_id)

    here = compared(made, "first", "constant").as_json(everything=True)
    there = compare_runs([read("first"), read("constant")]).as_json(everything=True)
    assert here == there


def test_a_notebook_shows_it_escaped(mine: ComparedProject) -> None:
    document = mine.read("helper").document
    assert document is not None
    shown = {"trees": {}, "display": {"rows": "<script>", "rates": []}}
    mine.change("runs/churn/helper/run.json", parameters=shown)
    page = compared(mine, "first", "helper")._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "return point &gt; 0" in page
