"""``levada rerun``: runs are started again as they were, or with one thing changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from levada.store import open_store

from .conftest import Project

PIPELINE = """
from levada import pipeline, step
from helpers import clean


@step
def load(rows: int) -> list[int]:
    return clean(rows)


@step
def fit(x: int, depth: int) -> int:
    if depth > 90:
        raise ValueError("too deep")
    return x * depth


@step
def total(parts: list[int]) -> int:
    return sum(parts)


@pipeline
def churn(rows: int = 3, depth: int = 2):
    return total([fit(x, depth) for x in load(rows)])
"""
HELPERS = "def clean(rows):\n    return list(range(rows))\n"


@pytest.fixture
def churn(project: Project) -> Project:
    project.write("pyproject.toml", "")
    project.write("churn.py", PIPELINE)
    project.write("helpers.py", HELPERS)
    return project


def run(project: Project, *words: str, status: int = 0) -> dict[str, Any]:
    """The outcome of a command that runs something."""
    done = project.levada(*words, "--json")
    assert done.returncode == status, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ran(outcome: dict[str, Any]) -> list[str]:
    steps = [each for each in outcome["steps"] if not each["cached"] and each["attempts"]]
    return [each["node"] for each in steps]


def document(project: Project, outcome: dict[str, Any]) -> dict[str, Any]:
    path = project.folder / ".levada" / "runs" / "churn" / outcome["run_id"] / "run.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def git(project: Project, *words: str) -> None:
    own = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *own, *words], cwd=project.folder, check=True, capture_output=True)


def test_a_run_is_started_again_with_its_parameters(churn: Project) -> None:
    first = run(churn, "run", "churn.py", "--param", "depth=5")
    again = run(churn, "rerun", first["run_id"])
    assert again["outputs"] == first["outputs"]
    assert ran(again) == []
    made = document(churn, again)
    assert made["parameters"]["display"] == {"rows": 3, "depth": 5}
    assert made["engine"]["rerun_of"] == first["run_id"]
    assert made["trigger"] == "rerun"


def test_only_what_depends_on_a_changed_parameter_runs(churn: Project) -> None:
    first = run(churn, "run", "churn.py")
    again = run(churn, "rerun", f"churn/{first['run_id']}", "--param", "depth=7")
    assert ran(again) == ["fit", "fit", "fit", "total"]
    assert again["outputs"] == 21


def test_from_a_step_it_and_what_depends_on_it_runs(churn: Project) -> None:
    run(churn, "run", "churn.py")
    assert ran(run(churn, "rerun", "churn@latest", "--from", "fit[1]")) == ["fit", "total"]
    assert ran(run(churn, "rerun", "churn@latest", "--from", "total")) == ["total"]


def test_from_a_step_that_is_not_there(churn: Project) -> None:
    run(churn, "run", "churn.py")
    done = churn.levada("rerun", "churn@latest", "--from", "fitt")
    assert done.returncode == 2
    assert "the pipeline has no step `fitt`; did you mean `fit`?" in done.stderr


@pytest.mark.parametrize("has_repository", [True, False])
def test_recorded_code_is_all_cached_after_the_tree_has_changed(
    churn: Project, has_repository: bool
) -> None:
    if has_repository:
        churn.write(".gitignore", ".levada\n")
        git(churn, "init", "-q")
        git(churn, "add", ".")
        git(churn, "commit", "-q", "-m", "first")
    churn.write("helpers.py", HELPERS.replace("range(rows)", "range(1, rows)"))
    first = run(churn, "run", "churn.py")
    churn.write("helpers.py", "def clean(rows):\n    raise ValueError('broken')\n")
    again = run(churn, "rerun", first["run_id"], "--code", "recorded")
    assert ran(again) == []
    assert again["outputs"] == first["outputs"]
    before, after = document(churn, first), document(churn, again)
    for name in ("plan", "source", "sources", "git"):
        assert after[name] == before[name]
    changed = run(churn, "rerun", first["run_id"], "--code", "recorded", "--param", "depth=3")
    assert ran(changed) == ["fit", "fit", "total"]
    assert changed["outputs"] == 9
    assert run(churn, "rerun", first["run_id"], status=1)["error"]["message"] == "broken"


def test_recorded_code_runs_where_the_project_is_gone(churn: Project) -> None:
    first = run(churn, "run", "churn.py")
    for name in ("churn.py", "helpers.py"):
        (churn.folder / name).unlink()
    refused = churn.levada("rerun", first["run_id"])
    assert refused.returncode == 2
    assert "the run is one of churn.py, which is not in" in refused.stderr
    assert "--code recorded" in refused.stderr
    assert run(churn, "rerun", first["run_id"], "--code", "recorded", "--no-cache")["outputs"] == 6


def test_steps_open_files_where_they_did(churn: Project) -> None:
    churn.write("conf/depth.txt", "4")
    churn.write("helpers.py", "def clean(rows):\n    return [int(open('conf/depth.txt').read())]\n")
    churn.write(".gitignore", ".levada\n")
    git(churn, "init", "-q")
    git(churn, "add", ".")
    git(churn, "commit", "-q", "-m", "first")
    first = run(churn, "run", "churn.py")
    churn.write("conf/depth.txt", "5")
    again = run(churn, "rerun", first["run_id"], "--code", "recorded", "--no-cache")
    assert again["outputs"] == first["outputs"] == 8


def test_code_that_is_not_stored_is_said_with_what_can_be_done(churn: Project) -> None:
    churn.write("helpers.py", HELPERS + "KEY = 'ghp_" + "a1" * 18 + "'\n")
    churn.write(
        "churn.py",
        PIPELINE.replace("import clean", "import clean, KEY").replace(
            "return clean(rows)", "return clean(rows + len(KEY) * 0)"
        ),
    )
    first = run(churn, "run", "churn.py")
    churn.write("helpers.py", "")
    done = churn.levada("rerun", first["run_id"], "--code", "recorded")
    assert done.returncode == 1
    assert "cannot be restored" in done.stderr
    assert "helpers.py: a secret in it is masked" in done.stderr
    assert "`--code current` runs the code that is here" in done.stderr
    partial = churn.levada("rerun", first["run_id"], "--code", "recorded", "--partial")
    assert partial.returncode == 1
    assert "warning: not as it was: helpers.py: a secret in it is masked" in partial.stderr
    assert "the code of churn:load is another one" in partial.stderr


def commit(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "first")


def test_recorded_code_whose_data_is_not_stored_is_not_run(churn: Project) -> None:
    churn.write("helpers.py", "def clean(rows):\n    return [len(open('conf.txt').read())]\n")
    churn.write("conf.txt", "1\n")
    churn.write(".gitignore", ".levada\n__pycache__/\n")
    commit(churn)
    churn.write("conf.txt", "1\n" * 600_000)
    first = run(churn, "run", "churn.py")
    again = ("rerun", first["run_id"], "--code", "recorded")
    done = churn.levada(*again)
    assert done.returncode == 1
    assert "the diff was too large to be stored" in done.stderr
    assert "`--partial` runs the recorded code without this" in done.stderr
    partial = churn.levada(*again, "--partial", "--no-cache", "--json")
    assert partial.returncode == 0, partial.stderr
    assert "warning: not as it was: the changes since the commit" in partial.stderr
    assert "with the changes since" not in partial.stderr
    assert json.loads(partial.stdout)["outputs"] == 4
    assert churn.levada("replay", first["run_id"], "load", "--code", "recorded").returncode == 1
    assert "--partial is for" in churn.levada("rerun", first["run_id"], "--partial").stderr


def test_what_a_repository_lacks_is_said_and_the_sources_run(churn: Project) -> None:
    churn.write(".gitignore", ".levada\n__pycache__/\n")
    commit(churn)
    first = run(churn, "run", "churn.py")
    shutil.rmtree(churn.folder / ".git")
    git(churn, "init", "-q")
    done = churn.levada("rerun", first["run_id"], "--code", "recorded", "--no-cache", "--json")
    assert done.returncode == 0, done.stderr
    assert "without the commit " in done.stderr
    assert ": it is not in this repository" in done.stderr
    assert json.loads(done.stdout)["outputs"] == first["outputs"]


def test_linked_data_is_said_to_be_that_of_the_project(churn: Project) -> None:
    churn.write("data/depth.txt", "4")
    churn.write("helpers.py", "def clean(rows):\n    return [int(open('data/depth.txt').read())]\n")
    churn.write(".gitignore", ".levada\n__pycache__/\ndata/\n")
    commit(churn)
    first = run(churn, "run", "churn.py")
    done = churn.levada("rerun", first["run_id"], "--code", "recorded")
    said = "data as it is now: data (links: a step that writes there writes into your project)"
    assert said in done.stderr


@pytest.mark.parametrize("file", ["../outside.py", "link.py", "a\0.py"])
def test_a_file_outside_of_the_project_is_not_run(churn: Project, file: str) -> None:
    outside = churn.folder.parent / "outside.py"
    outside.write_text(f"open({str(outside)!r} + '.ran', 'w')\n" + PIPELINE)
    (churn.folder / "link.py").symlink_to(outside)
    churn.write("fail.json", '{"depth": 91}')
    first = run(churn, "run", "churn.py", "--params-file", "fail.json", status=1)["run_id"]
    change_plan(churn, first, {"file": file})
    for words, status in (
        (("rerun", first), 2),
        (("retry", first), 2),
        (("replay", first, "load"), 2),
        (("rerun", first, "--code", "recorded"), 1),
    ):
        done = churn.levada(*words)
        assert done.returncode == status, done.stderr
        said = "which is not in" if status == 2 else "is no file of the project"
        assert said in done.stderr
    assert not outside.with_name("outside.py.ran").exists()


def test_a_parameter_that_is_gone_or_has_another_type(churn: Project) -> None:
    first = run(churn, "run", "churn.py")
    churn.write(
        "churn.py",
        PIPELINE.replace("rows: int = 3, depth: int = 2", "depth: float = 2.0")
        .replace("load(rows)]", "load(2)]")
        .replace("x: int, depth: int) -> int", "x: int, depth: float) -> float")
        .replace("list[int]) -> int", "list[float]) -> float"),
    )
    done = churn.levada("rerun", first["run_id"], "--json")
    assert done.returncode == 0, done.stderr
    assert "warning: the pipeline has no parameter `rows` any more" in done.stderr
    assert json.loads(done.stdout)["outputs"] == 2.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "there is no run `nothing`"),
        (["churn@latest"], "churn"),
        (["churn/none"], "there is no run"),
    ],
)
def test_a_run_that_is_not_there(churn: Project, words: list[str], said: str) -> None:
    done = churn.levada("rerun", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_beginning_that_several_runs_have(churn: Project) -> None:
    for name in ("nightly-1", "nightly-2"):
        run(churn, "run", "churn.py", "--run-id", name)
    done = churn.levada("rerun", "nightly")
    assert done.returncode == 2
    assert "`nightly` means several runs; write more of it" in done.stderr
    assert "churn/nightly-1" in done.stderr


def test_a_file_of_parameters_is_found_from_where_the_command_was_given(churn: Project) -> None:
    first = run(churn, "run", "churn.py")
    churn.write("given.json", '{"depth": 9}')
    again = run(
        churn, "rerun", first["run_id"], "--code", "recorded", "--params-file", "given.json"
    )
    assert again["outputs"] == 27


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"schema": "levada.plan/9"},
            "its plan is levada.plan/9, and this Levada reads levada.plan/2",
        ),
        ({"steps": {"churn:load": []}}, "its plan is damaged"),
        ({"search": [1]}, "its plan is damaged"),
        ({"body": None}, "its plan is damaged"),
        ({"parameters": [{}]}, "its plan is damaged"),
        ({"body": [{"kind": "call"}]}, "its plan is damaged"),
        ({"file": 5}, "its plan is damaged"),
    ],
)
def test_a_plan_that_somebody_changed(churn: Project, change: dict[str, Any], said: str) -> None:
    first = run(churn, "run", "churn.py")["run_id"]
    change_plan(churn, first, change)
    for which, status in (("recorded", 1), ("current", 2)):
        done = churn.levada("rerun", first, "--code", which)
        assert done.returncode == status
        assert said in done.stderr


def test_a_file_that_is_named_makes_up_for_a_plan(churn: Project) -> None:
    first = run(churn, "run", "churn.py")["run_id"]
    change_plan(churn, first, {"parameters": [{}]})
    assert run(churn, "rerun", first, "--file", "churn.py")["outputs"] == 6


def without_plan(churn: Project, run_id: str) -> None:
    """Make a run like one of Airflow, whose tasks do not have the plan."""
    path = churn.folder / ".levada" / "runs" / "churn" / run_id / "run.json"
    made = json.loads(path.read_text())
    path.chmod(0o644)
    path.write_text(json.dumps({**made, "plan": None}))


def test_the_file_is_found_by_the_name_of_the_pipeline(churn: Project) -> None:
    first = run(churn, "run", "churn.py")["run_id"]
    without_plan(churn, first)
    churn.write("other.py", PIPELINE.replace("def churn(", "def churned("))
    assert run(churn, "rerun", first, "--param", "depth=1")["outputs"] == 3
    churn.write("other.py", PIPELINE.replace("@pipeline", '@pipeline(name="churn")'))
    done = churn.levada("rerun", first)
    assert done.returncode == 2
    assert "churn.py and other.py have one of this name: give it by --file" in done.stderr
    (churn.folder / "other.py").unlink()
    (churn.folder / "churn.py").unlink()
    done = churn.levada("rerun", first)
    assert done.returncode == 2
    assert "none in " in done.stderr


def test_recorded_code_of_a_run_without_a_plan(churn: Project) -> None:
    """It is compiled again: all steps are cached, and other code is not taken for it."""
    git(churn, "init", "-q")
    git(churn, "add", ".")
    git(churn, "commit", "-q", "-m", "all")
    first = run(churn, "run", "churn.py")["run_id"]
    without_plan(churn, first)
    churn.write("churn.py", PIPELINE.replace("x * depth", "x + depth"))
    again = run(churn, "rerun", first, "--code", "recorded")
    assert again["outputs"] == 6
    assert ran(again) == []
    for path in (churn.folder / ".levada/runs/churn" / first).rglob("record.json"):
        record = json.loads(path.read_text())
        path.chmod(0o644)
        path.write_text(json.dumps({**record, "code": {**record["code"], "digest": "of others"}}))
    done = churn.levada("rerun", first, "--code", "recorded")
    assert done.returncode == 1
    assert "is another one" in done.stderr


def change_plan(churn: Project, run_id: str, change: dict[str, Any]) -> None:
    store = open_store(str(churn.folder / ".levada"))
    path = churn.folder / ".levada" / "runs" / "churn" / run_id / "run.json"
    made = json.loads(path.read_text())
    plan = {**json.loads(store.read_blob(made["plan"])), **change}
    path.chmod(0o644)
    path.write_text(json.dumps({**made, "plan": store.put_blob(json.dumps(plan).encode())}))


def test_no_folder_is_left_behind(churn: Project) -> None:
    folder = churn.folder.parent / "temporary"
    folder.mkdir()
    churn.variables["TMPDIR"] = str(folder)
    run(churn, "run", "churn.py")
    run(churn, "rerun", "churn@latest", "--code", "recorded", "--no-cache")
    assert list(folder.glob("levada-code-*")) == []
    shutil.rmtree(folder)


def test_what_is_missing_is_said_before_the_first_step(churn: Project) -> None:
    first = run(churn, "run", "churn.py")
    text = PIPELINE.replace(
        "@step\ndef total", '@step(secrets={"TOKEN": "vault/token"})\ndef total'
    )
    churn.write("churn.py", text)
    done = churn.levada("rerun", first["run_id"], "--param", "depth=3")
    assert done.returncode == 1
    assert "`total`: the secret `vault/token` is missing" in done.stderr
    assert len(list((churn.folder / ".levada" / "runs" / "churn").iterdir())) == 1
