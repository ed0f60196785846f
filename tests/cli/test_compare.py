"""``levada compare`` and ``levada lineage`` on the runs of a project, as a user has them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import levada_records
import pytest
from levada_compiler.render.cells import width

from tests.cli.conftest import Project
from tests.records.compared_project import CLEANING, PIPELINE

ESC = "\x1b"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with three runs: the second has other parameters, the third other code."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "project").mkdir()
    caches = {name: str(folder / name) for name in ("LEVADA_CACHE_DIR", "LEVADA_INDEX_CACHE")}
    project = Project(folder / "project", caches)
    project.write("pyproject.toml", "")
    project.write("pipeline.py", PIPELINE)
    project.write("cleaning.py", CLEANING)
    runs = [("first", []), ("second", ["-p", "rows=6", "-p", "rates=[0.3, 0.4, 0.5]"])]
    for name, options in runs:
        assert project.levada("run", "pipeline.py", "--run-id", name, *options).returncode == 0
    project.write("cleaning.py", CLEANING.replace("point >= 0", "point > 0"))
    assert project.levada("run", "pipeline.py", "--run-id", "third").returncode == 0
    return project


@pytest.fixture
def shown(made: Project) -> Iterator[Project]:
    """The same project, for a terminal of which a test says the columns."""
    variables = {**made.variables}
    yield made
    made.variables = variables


def schema(name: str) -> object:
    path = Path(levada_records.__file__).parent / "schemas" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def said(project: Project, *arguments: str, columns: int = 100) -> str:
    project.variables["COLUMNS"] = str(columns)
    result = project.levada(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_what_differs(shown: Project) -> None:
    text = said(shown, "compare", "first", "second")
    assert "\nparameters: 2 of 4 differ\n" in text
    assert "  rows   4           6\n" in text
    assert "  rates  [0.1, 0.2]  [0.3, 0.4, 0.5]\n" in text
    (auc,) = [line for line in text.splitlines() if ".auc" in line and "0.7" in line]
    assert auc.split()[1:] == ["0.9", "0.7", "-0.2", "-22.2%"]
    assert "▃" in text or "▂" in text, "the series of the loss"
    assert "point > 0" not in text
    assert text.splitlines()[-1].startswith("the same: code, packages (")


def test_code_by_function(shown: Project) -> None:
    text = said(shown, "compare", "first", "third", "--only", "code")
    assert text.split("\n\n", 1)[1] == (
        "code: 1 definition differs\n"
        "\n"
        "changed class Cleaner in cleaning.py (used by fit)\n"
        "  @@ -6,4 +6,4 @@\n"
        '       """Cleans."""\n'
        "   \n"
        "       def keeps(self, point: float) -> bool:\n"
        "  -        return point >= 0\n"
        "  +        return point > 0\n"
    )


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_tables_fit_the_terminal(shown: Project, columns: int) -> None:
    for arguments in (
        ("compare", "first", "second", "--all"),
        (
            "compare",
            "first",
            "second",
            "third",
            "first",
            "second",
            "third",
            "first",
            "--maximize",
            "auc",
        ),
        ("lineage", "second"),
    ):
        text = said(shown, *arguments, columns=columns)
        assert max(map(width, text.splitlines())) <= columns, arguments


def test_runs_that_have_no_room_beside_the_others_follow_below(shown: Project) -> None:
    runs = ["first", "second", "third", "first", "second", "third", "first", "second"]
    text = said(shown, "compare", *runs, "--only", "params", columns=60)
    heads = [line.split() for line in text.splitlines() if line.split()[:1] == ["A"]]
    assert heads[1:] == [["A", "B", "C", "D", "E"], ["A", "F", "G", "H"]]


def test_the_best_run_is_marked(shown: Project) -> None:
    text = said(shown, "compare", "first", "second", "--only", "metrics", "--minimize", "loss")
    (line,) = [line for line in text.splitlines() if ".loss" in line and "0.06" in line]
    assert " * " in line
    coloured = said(shown, "compare", "first", "second", "--minimize", "loss", "--color", "always")
    assert f"{ESC}[32m0.02 *" in coloured


def test_json(shown: Project) -> None:
    whole = json.loads(said(shown, "compare", "first", "third", "--json"))
    jsonschema.validate(whole, schema("compare"))
    assert set(whole) == {
        *("runs", "params", "metrics", "code", "code_problems", "packages", "inputs", "outputs"),
        *("steps", "environment"),
    }
    assert whole["params"] == []
    assert [(row["function"], row["change"]) for row in whole["code"]] == [("Cleaner", "changed")]
    part = json.loads(said(shown, "compare", "first", "second", "--json", "--only", "params"))
    jsonschema.validate(part, schema("compare"))
    assert set(part) == {"runs", "params"}
    everything = json.loads(said(shown, "compare", "first", "third", "--json", "--all"))
    jsonschema.validate(everything, schema("compare"))
    assert [row["same"] for row in everything["params"]] == [True] * 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("compare", "first"), "name another run to compare `first` with"),
        (("compare", "first", "thrid"), "there is no run `thrid`"),
        (("compare", "first", "third", "--only", "parms"), "did you mean `params`?"),
        (("compare", "first", "third", "--only", ""), "there are params, metrics"),
        (("compare", "first", "third", "--maximize", "acu"), "did you mean `auc`?"),
        (("compare", *["first"] * 27), "at most 26 runs"),
        (("lineage", "nothing"), "there is no run `nothing`"),
        (("lineage", "first/fitt"), "no step `fitt`"),
        (("lineage", "first/load.x"), "stored no output `x`"),
        (("lineage", "sha256:0123456789"), "no run in the index gave an artifact"),
        (("lineage", "first", "--json", "--format", "mermaid"), "exclude each other"),
        (("lineage", "first", "--depth", "0"), "--depth"),
    ],
)
def test_wrong_usage(shown: Project, arguments: tuple[str, ...], says: str) -> None:
    result = shown.levada(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert says in result.stderr


def test_no_text_of_a_run_acts_on_the_terminal(made: Project, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(made.folder / ".levada", store)
    path = store / "runs" / "churn" / "second" / "run.json"
    document = json.loads(path.read_text())
    document["parameters"]["display"]["rows"] = f"{ESC}]0;owned\x07\nsecond line"
    path.write_text(json.dumps(document))
    record = store / "runs" / "churn" / "second" / "load" / "1" / "record.json"
    record.write_text("{")
    result = made.levada("compare", "first", "second", "--store", str(store), "--color", "always")
    assert result.returncode == 0
    assert f"{ESC}]" not in result.stdout
    assert "second line" in result.stdout
    assert "is damaged" in result.stdout


def test_a_store_that_is_not_there(made: Project, tmp_path: Path) -> None:
    result = made.levada("compare", "first", "second", "--store", str(tmp_path / "nowhere"))
    assert result.returncode == 2
    assert "there is no run `first`" in result.stderr


# ---------------------------------------------------------------- lineage


def test_lineage_of_a_run(shown: Project) -> None:
    text = said(shown, "lineage", "first", "--up")
    lines = text.splitlines()
    assert lines[0].startswith("best of churn/first (local, succeeded, ")
    assert lines[2] == "made from:"
    assert [line for line in lines if line.endswith("load")] == ["     │  │  └─ load"]
    assert "     │  │     └─ rows = 4" in lines
    assert "used by" not in text


def test_lineage_down_into_other_runs(shown: Project) -> None:
    text = said(shown, "lineage", "first/load", "--down")
    assert "load of churn/third, taken from the cache" in text
    assert "made from" not in text


def test_lineage_where_a_terminal_has_ascii_only(shown: Project) -> None:
    shown.variables["PYTHONIOENCODING"] = "ascii"
    text = said(shown, "lineage", "first", "--up")
    assert "`- scores: 2 artifacts" in text
    assert text.isascii()


def test_lineage_as_json(shown: Project) -> None:
    document = json.loads(said(shown, "lineage", "third/fit[0]", "--json"))
    jsonschema.validate(document, schema("lineage"))
    assert [root["step"] for root in document["roots"]] == ["churn/third/fit[0]"]
    of_id = {step["id"]: step for step in document["steps"]}
    assert of_id["churn/third/fit[0]"]["up"] == ["churn/third/load"]
    assert "churn/third/best" in of_id["churn/third/fit[0]"]["down"]


def test_lineage_as_mermaid_and_openlineage(shown: Project) -> None:
    assert said(shown, "lineage", "first", "--format", "mermaid").startswith("flowchart TD\n")
    lines = said(shown, "lineage", "first", "--format", "openlineage").splitlines()
    assert {json.loads(line)["eventType"] for line in lines} == {"START", "COMPLETE"}
