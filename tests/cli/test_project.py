"""Many pipelines at once: in several processes, from the cache, and with old files removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from levada_cli import batch_cache
from levada_cli.commands import selection, workers

from .conftest import SMALL, Project
from .schemas import valid

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE = """
from levada import pipeline, step
from shared.steps import one


@step
def twice(value: int) -> int:
    return value * {number}


@pipeline
def flow_{number}():
    return twice(one())
"""
SHARED = """
from levada import step


@step
def one() -> int:
    return 1
"""
SETTINGS = """
[tool.levada]
pipelines = ["pipelines/**/*.py"]
target = "airflow"

[tool.levada.targets.airflow]
output = "dags"
"""


@pytest.fixture
def several(project: Project, tmp_path: Path) -> Project:
    """A project of twenty pipelines: enough for several processes."""
    project.variables["LEVADA_CACHE_DIR"] = str(tmp_path / "cache")
    project.write("pyproject.toml", SETTINGS)
    project.write("shared/steps.py", SHARED)
    for number in range(20):
        project.write(f"pipelines/flow_{number}.py", MODULE.format(number=number))
    return project


# ---------------------------------------------------------------------------- processes


def _double(number: int) -> int:
    return number * 2


def _slow_in_others() -> Callable[[int], tuple[int, int]]:
    here = os.getpid()

    def work(number: int) -> tuple[int, int]:
        if number == 7 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return number, os.getpid()

    return work


def test_results_come_in_the_order_of_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 3)
    assert workers.spread(_double, range(100)) == [2 * number for number in range(100)]


def test_several_processes_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 3)
    assert len(set(workers.spread(lambda _: os.getpid(), range(30)))) == 3


def test_what_a_killed_process_had_not_sent_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 2)
    done = workers.spread(_slow_in_others(), range(20))
    assert [number for number, _ in done] == list(range(20))
    assert done[7][1] == os.getpid()


def test_what_is_raised_in_a_process_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 2)

    def work(number: int) -> int:
        return 1 // (number - 11)

    with pytest.raises(ZeroDivisionError):
        workers.spread(work, range(20))


def test_large_results_of_all_processes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 2)
    done = workers.spread(lambda number: "x" * (1 << 20) + str(number), range(12))
    assert [len(text) for text in done] == [(1 << 20) + len(str(n)) for n in range(12)]


# ---------------------------------------------------------------------------- selection


def test_environments_and_caches_are_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("a.py", "b/c.py", ".git/d.py", ".venv/e.py", "env/f.py", "b/__pycache__/g.py")
    for name in (*names, "node_modules/h.py", "b/text.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("env/pyvenv.cfg").touch()
    for reference in (".", "**/*.py"):
        found = selection.select([(reference, None)]).files
        assert sorted(os.path.normpath(each.path) for each in found) == ["a.py", "b/c.py"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a[1].py").touch()
    assert selection.select([("a[1].py", None)]).is_one


def test_a_file_that_is_named_twice_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").touch()
    found = selection.select([(".", None), ("a.py", None), ("./a.py", None)]).files
    assert [(each.path, each.is_named) for each in found] == [("a.py", True)]


# ---------------------------------------------------------------------------- compiling


def test_several_processes_give_the_files_that_one_gives(several: Project) -> None:
    done = several.levada("compile")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("20 pipelines: 20 files written, 0 unchanged\n")
    for number in (0, 7, 19):
        alone = several.levada("compile", f"pipelines/flow_{number}.py", "-o", "alone")
        assert alone.returncode == 0
        name = f"flow_{number}.py"
        written = (several.folder / "dags" / name).read_bytes()
        assert written == (several.folder / "alone" / name).read_bytes()


def test_only_what_changed_is_compiled_again(several: Project, tmp_path: Path) -> None:
    assert several.levada("compile").returncode == 0
    trap = several.write(
        "trap/sitecustomize.py",
        "import levada_compiler.compilation as c, os\n"
        "compiled = c.compile_pipelines\n"
        "def noted(path, *a, **k):\n"
        "    with open(os.environ['NOTES'], 'a') as file: file.write(path + chr(10))\n"
        "    return compiled(path, *a, **k)\n"
        "c.compile_pipelines = noted\n",
    )
    notes = tmp_path / "notes"
    several.variables |= {"PYTHONPATH": str(trap.parent), "NOTES": str(notes)}
    several.levada("compile")  # the path of imports is another one now
    notes.unlink()
    for file, expected in (
        (None, 0),
        ("pipelines/flow_3.py", 1),
        ("shared/steps.py", 20),
    ):
        if file is not None:
            path = several.folder / file
            path.write_text(path.read_text() + "\n\nNUMBER = 1\n")
        done = several.levada("compile")
        assert done.returncode == 0, done.stderr
        seen = notes.read_text().splitlines() if notes.exists() else []
        assert len(seen) == expected, file
        notes.unlink(missing_ok=True)


def test_a_damaged_cache_is_no_cache(several: Project, tmp_path: Path) -> None:
    assert several.levada("compile").returncode == 0
    for entry in (tmp_path / "cache/compile").iterdir():
        entry.write_bytes(entry.read_bytes()[:-100] + bytes(100))
    done = several.levada("compile")
    assert done.returncode == 0
    assert "20 unchanged" in done.stderr


def test_a_module_that_was_missing_is_noticed(several: Project) -> None:
    for number in (4, 5):
        text = MODULE.format(number=number).replace("shared.steps", "shared.more.parts")
        several.write(f"pipelines/flow_{number}.py", text)
    done = several.levada("check")
    assert done.returncode == 1
    assert "2 with errors" in done.stderr
    several.write("shared/more/parts.py", SHARED)
    done = several.levada("check")
    assert (done.returncode, done.stdout) == (0, "")


def test_what_was_looked_for_is_noticed_when_it_is_a_folder_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder has no contents to compare, and neither has what is not there."""
    monkeypatch.setenv("LEVADA_CACHE_DIR", str(tmp_path / "cache"))
    place, empty = tmp_path / ".venv", tmp_path / "empty"
    empty.mkdir()
    inputs = batch_cache.Inputs({}, str(tmp_path), (), (), (str(place), str(empty)))
    for change in (place.mkdir, empty.rmdir):
        kept = batch_cache.Cache(["test"])
        kept.put("flow.py", ("result",), inputs)
        kept.write()
        assert batch_cache.Cache(["test"]).get("flow.py") == ("result",)
        change()
        assert batch_cache.Cache(["test"]).get("flow.py") is None


def test_warnings_of_unchanged_files_are_said_again(several: Project) -> None:
    text = MODULE.format(number=3).replace("return twice", "left = one()\n    return twice")
    several.write("pipelines/flow_3.py", text)
    first, second = several.levada("compile", "--json"), several.levada("compile", "--json")
    warnings = [json.loads(done.stdout)["diagnostics"] for done in (first, second)]
    assert warnings[0] == warnings[1]
    assert [each["id"] for each in warnings[0]] == ["unused-result"]


def test_a_hundred_files_that_change_are_counted(several: Project) -> None:
    for number in range(20, 30):
        several.write(f"pipelines/flow_{number}.py", MODULE.format(number=number))
    lines = several.levada("compile").stderr.splitlines()
    assert lines[-2] == "wrote     10 more"
    assert len(lines) == 22


def test_an_interrupt_leaves_no_process_and_no_half_file(several: Project) -> None:
    for number in range(20, 200):
        several.write(f"pipelines/flow_{number}.py", MODULE.format(number=number))
    process = several.start("compile")
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
    assert not list(several.folder.rglob("*.tmp"))


# ---------------------------------------------------------------------------- stale files


def test_what_others_wrote_is_never_removed(several: Project) -> None:
    assert several.levada("compile").returncode == 0
    several.write("dags/by_hand.py", '"""Not made from pipelines/gone.py:gone by Levada 1."""\n')
    several.write("dags/notes.py", "# Made from pipelines/gone.py:gone by Levada 0.1.0\n")
    (several.folder / "dags/picture.png").write_bytes(b"\x89PNG\xff\xfe by Levada ")
    (several.folder / "pipelines/flow_4.py").unlink()
    done = several.levada("compile", "--prune")
    assert done.returncode == 0
    left = {path.name for path in (several.folder / "dags").iterdir()}
    assert "flow_4.py" not in left
    assert {"by_hand.py", "notes.py", "picture.png", "flow_5.py"} <= left


def test_a_file_with_an_error_keeps_what_was_made_from_it(several: Project) -> None:
    assert several.levada("compile").returncode == 0
    several.write("pipelines/flow_4.py", MODULE.format(number=4).replace("one())", "'text')"))
    done = several.levada("compile", "--prune")
    assert done.returncode == 1
    assert "type-mismatch" in done.stderr
    assert (several.folder / "dags/flow_4.py").exists()


def test_a_renamed_pipeline_leaves_its_old_file_stale(several: Project) -> None:
    assert several.levada("compile", "-t", "airflow", "-t", "ir", "-o", "dags").returncode == 0
    text = MODULE.format(number=4).replace("@pipeline", '@pipeline(name="four")')
    several.write("pipelines/flow_4.py", text)
    done = several.levada("compile")
    assert "stale: dags/flow_4.py\n" in done.stderr
    # What another target has made of a pipeline that is still there is not this command's matter.
    assert "ir.json" not in done.stderr


def test_a_folder_outside_of_the_project_is_not_owned(several: Project, tmp_path: Path) -> None:
    shared = str(tmp_path / "dags")
    assert several.levada("compile", "-o", shared).returncode == 0
    (several.folder / "pipelines/flow_4.py").unlink()
    done = several.levada("compile", "-o", shared, "--prune")
    assert "stale" not in done.stderr
    assert (tmp_path / "dags/flow_4.py").exists()


def test_files_of_a_project_within_are_its_own(several: Project) -> None:
    several.write("dags/pyproject.toml", "[project]\nname = 'inner'\n")
    assert several.levada("compile").returncode == 0
    (several.folder / "pipelines/flow_4.py").unlink()
    assert "stale" not in several.levada("compile").stderr


def test_a_part_of_the_project_does_not_make_the_rest_stale(several: Project) -> None:
    assert several.levada("compile").returncode == 0
    done = several.levada("compile", "pipelines/flow_1.py", "pipelines/flow_2.py", "--prune")
    assert done.stderr == "2 pipelines: 0 files written, 2 unchanged\n"
    assert len(list((several.folder / "dags").glob("*.py"))) == 20


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


ORIGIN = "Made from pipelines/gone.py:gone by Levada 0.1.0"
MENTIONS = {
    "notes.md": f"{ORIGIN}\nSource: sha256:{'0' * 64}\n",
    "notes.py": f"# {ORIGIN}\n",
    "in_code.py": f'"""Reads."""\n\nTEXT = """\n{ORIGIN}.\nSource: sha256:{"0" * 64}\n"""\n',
    "without_source.py": f'"""A DAG.\n\n{ORIGIN}.\n"""\n',
    "notes.yaml": f"# Not what was made.\n# {ORIGIN}; do not edit: compile it again.\n",
    "notes.svg": f"<svg>\n<!-- {ORIGIN} -->\n</svg>\n",
}


@pytest.mark.parametrize("file", MENTIONS)
def test_a_file_that_only_mentions_an_origin_is_not_removed(several: Project, file: str) -> None:
    several.write(f"dags/{file}", MENTIONS[file])
    done = several.levada("compile", "pipelines/flow_1.py", "--prune")
    assert (done.returncode, "removed" in done.stderr) == (0, False), done.stderr
    assert (several.folder / "dags" / file).exists()


def test_a_pipeline_whose_text_mentions_levada_is_compiled(several: Project) -> None:
    text = MODULE.format(number=3).replace(
        "def flow_3():", f'def flow_3():\n    """As {ORIGIN} says."""'
    )
    several.write("pipelines/flow_3.py", text)
    assert several.levada("compile").returncode == 0
    assert (several.folder / "dags/flow_3.py").exists()


@pytest.mark.parametrize("target", ["airflow", "ir", "kubeflow", "kubernetes"])
def test_files_of_every_target_are_stale_without_their_pipeline(
    several: Project, target: str
) -> None:
    words = ("compile", "pipelines", "-t", target, "-o", "out", "--set", "image=registry/a:1")
    words = words if target.startswith("kube") else words[:-2]
    assert several.levada(*words).returncode == 0, several.levada(*words).stderr
    before = names(several.folder / "out")
    (several.folder / "pipelines/flow_4.py").unlink()
    done = several.levada(*words, "--prune")
    assert done.returncode == 0, done.stderr
    gone = before - names(several.folder / "out")
    assert gone
    assert gone == {name for name in before if name.startswith(("flow_4.", "flow_4/", "flow-4"))}
    assert all(any(each.iterdir()) for each in (several.folder / "out").rglob("*") if each.is_dir())


INNER = """
[tool.levada]
pipelines = ["*.py"]
target = "airflow"

[tool.levada.targets.airflow]
output = "../dags"
"""


@pytest.mark.parametrize("output", ["setting", "environment", "option"])
def test_what_a_project_within_writes_to_a_shared_folder_stays(
    several: Project, output: str
) -> None:
    settings = {
        "setting": INNER,
        "environment": INNER.replace("airflow]", "airflow.environments.prod]"),
        "option": INNER.rpartition("[tool")[0],
    }
    several.write("inner/pyproject.toml", settings[output])
    several.write("inner/shared/steps.py", SHARED)
    several.write("inner/other.py", MODULE.format(number=77))
    inner = several.folder / "inner"
    words = {"environment": ["--env", "prod"], "option": ["-o", "../dags"]}.get(output, [])
    process = subprocess.run(
        [sys.executable, "-m", "levada_cli.main", "compile", *words],
        cwd=inner,
        env=os.environ | several.variables,
        check=False,
    )
    assert process.returncode == 0
    done = several.levada("compile", "--prune")
    assert (done.returncode, "removed" in done.stderr) == (0, False), done.stderr
    assert (several.folder / "dags/flow_77.py").exists()


@pytest.mark.parametrize("mark", ["pyproject.toml", ".git"])
def test_files_of_a_project_below_the_output_folder_stay(several: Project, mark: str) -> None:
    assert several.levada("compile").returncode == 0
    (several.folder / "pipelines/flow_4.py").unlink()
    other = several.folder / "dags/vendored"
    other.mkdir()
    several.write(f"dags/vendored/{mark}", "")
    (several.folder / "dags/flow_4.py").rename(other / "flow_4.py")
    done = several.levada("compile", "--prune")
    assert (done.returncode, "removed" in done.stderr) == (0, False), done.stderr
    assert (other / "flow_4.py").exists()


@pytest.mark.parametrize("words", [[], ["pipelines"], ["pipelines", "-o", "dags"]])
def test_the_last_pipeline_leaves_its_file_stale(several: Project, words: list[str]) -> None:
    assert several.levada("compile").returncode == 0
    for path in (several.folder / "pipelines").glob("*.py"):
        path.unlink()
    assert several.levada("compile", *words).returncode == 2  # nothing matches
    done = several.levada("compile", *words, "--check")
    assert (done.returncode, done.stderr.count("stale: dags/")) == (1, 20), done.stderr
    done = several.levada("compile", *words, "--prune")
    assert (done.returncode, "20 removed" in done.stderr) == (0, True), done.stderr
    assert several.levada("compile", *words, "--check").returncode == 0


@pytest.mark.parametrize("kept", ["one", "none"])
def test_a_function_that_is_no_pipeline_any_more_is_stale(several: Project, kept: str) -> None:
    """Its module may have no other pipeline, and the project none at all."""
    assert several.levada("compile").returncode == 0
    for number in [4] if kept == "one" else range(20):
        text = MODULE.format(number=number).replace("@pipeline", "")
        several.write(f"pipelines/flow_{number}.py", text)
    found = several.levada("compile", "--json", "--check")
    assert found.returncode == 1
    stale = json.loads(found.stdout)["stale"]
    assert stale == (["dags/flow_4.py"] if kept == "one" else sorted(stale))
    assert len(stale) == (1 if kept == "one" else 20)
    # The same where other files are compiled.
    other = several.levada("compile", "pipelines/flow_1.py", "pipelines/flow_2.py", "--json")
    assert "dags/flow_4.py" in json.loads(other.stdout)["stale"]


def test_a_pipeline_that_another_one_calls_now_is_stale(several: Project) -> None:
    assert several.levada("compile").returncode == 0
    text = MODULE.format(number=4) + "\n\n@pipeline\ndef whole():\n    return flow_4()\n"
    several.write("pipelines/flow_4.py", text)
    assert "stale: dags/flow_4.py\n" in several.levada("compile").stderr
    # One that was asked for by its name is not.
    done = several.levada(
        "compile", "pipelines/flow_4.py:flow_4", "pipelines/flow_1.py", "-o", "dags"
    )
    assert "stale" not in done.stderr


def test_a_new_name_with_a_dot_leaves_the_old_file_stale(several: Project) -> None:
    for name in ("four.v1", "four.v2"):
        text = MODULE.format(number=4).replace("@pipeline", f'@pipeline(name="{name}")')
        several.write("pipelines/flow_4.py", text)
        done = several.levada("compile")
    assert "stale: dags/four.v1.py\n" in done.stderr
    assert "four.v2" not in done.stderr.replace("wrote     dags/four.v2.py\n", "")


def test_the_same_pipeline_in_another_folder_is_not_stale(several: Project) -> None:
    words = ("compile", "pipelines/flow_1.py", "pipelines/flow_2.py", "-o")
    assert several.levada(*words, "dags/prod").returncode == 0
    done = several.levada(*words, "dags", "--prune")
    assert "removed" not in done.stderr
    assert (several.folder / "dags/prod/flow_1.py").exists()


def test_json_and_printed_files_do_not_go_together(several: Project) -> None:
    for words in (["pipelines"], ["pipelines/flow_1.py"]):
        done = several.levada("compile", *words, "-t", "ir", "-o", "-", "--json")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--json" in done.stderr


# ---------------------------------------------------------------------------- one name


def test_check_finds_the_names_that_compile_refuses(several: Project) -> None:
    several.write("pipelines/flow_5.py", MODULE.format(number=6))
    for command in ("check", "compile"):
        done = several.levada(command)
        assert done.returncode == 1
        assert "pipelines/flow_5.py" in done.stderr
        assert "pipelines/flow_6.py" in done.stderr
        assert "@pipeline(name=" in done.stderr
    assert "2 with errors" in several.levada("check").stderr


def test_check_finds_one_name_within_a_file(several: Project) -> None:
    text = MODULE.format(number=4).replace("@pipeline", '@pipeline(name="same")')
    second = text[text.index("@pipeline") :].replace("flow_4", "other")
    several.write("pipelines/flow_4.py", f"{text}\n\n{second}")
    for words in (["pipelines/flow_4.py"], []):
        done = several.levada("check", *words)
        assert done.returncode in (1, 2)
        assert "both have the name `same`" in done.stderr


def test_a_pipeline_within_another_may_have_its_name(several: Project) -> None:
    text = MODULE.format(number=4).replace("@pipeline", '@pipeline(name="same")')
    outer = '\n\n@pipeline(name="same")\ndef whole():\n    return flow_4()\n'
    several.write("pipelines/flow_4.py", text + outer)
    assert several.levada("check").returncode == 0
    assert several.levada("compile").returncode == 0


# ---------------------------------------------------------------------------- a small project


def test_a_new_project_needs_no_arguments(project: Project) -> None:
    assert project.levada("init", "fresh").returncode == 0
    fresh = Project(project.folder / "fresh", project.variables)
    assert fresh.levada("check").returncode == 0
    done = fresh.levada("compile")
    assert done.returncode == 0, done.stderr
    assert (fresh.folder / "dags/fresh.py").exists()
    assert fresh.levada("compile", "--check").returncode == 0


def test_the_only_pipeline_of_a_folder_is_drawn_to_stdout(project: Project) -> None:
    project.write("without.py", "ONE = 1\n")
    drawn = project.levada("graph", ".")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert drawn.stdout == project.levada("graph", "pipeline.py").stdout
    project.write("second.py", SMALL.replace("small", "second"))
    several = project.levada("graph", ".")
    assert (several.returncode, several.stdout) == (2, "")
    assert "give a folder with -o" in several.stderr
    for name in ("pipeline.py", "second.py"):
        (project.folder / name).unlink()
    none = project.levada("graph", ".")
    assert (none.returncode, none.stdout) == (1, "")
    assert "there is none" in none.stderr


# ---------------------------------------------------------------------------- JSON


def test_json_is_as_its_schema_says(several: Project) -> None:
    several.write("pipelines/flow_4.py", MODULE.format(number=4).replace("one())", "'text')"))
    several.write("pipelines/flow_5.py", MODULE.format(number=6))
    assert several.levada("compile", "--json").returncode == 1
    (several.folder / "pipelines/flow_7.py").unlink()
    found = {}
    for words in (["--check"], [], ["--prune"], ["pipelines/flow_1.py"]):
        done = several.levada("compile", "--json", *words)
        found[" ".join(words)] = valid("compile", done.stdout)
    assert found[""]["stale"] == found["--prune"]["removed"] == ["dags/flow_7.py"]
    assert {each["file"] for each in found[""]["problems"]} == {
        "pipelines/flow_5.py",
        "pipelines/flow_6.py",
    }
    diagnostics = valid("check", several.levada("check", "--json").stdout)
    assert diagnostics == found[""]["diagnostics"]
    assert len(diagnostics) == 1


# ---------------------------------------------------------------------------- hooks

HOOKS = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"


def _hooks() -> list[dict[str, object]]:
    yaml = pytest.importorskip("yaml")
    found: list[dict[str, object]] = yaml.safe_load(HOOKS.read_text())
    return found


def test_the_hooks_do_the_whole_project(several: Project) -> None:
    for hook in _hooks():
        assert hook["pass_filenames"] is False
        assert hook["language"] == "python"
        words = str(hook["entry"]).split()
        assert words[0] == "levada"
        done = several.levada(*words[1:])
        assert (done.returncode, done.stdout) == (0, "")
        assert "20 pipelines" in done.stderr


def test_the_hook_that_compiles_leaves_nothing_for_ci_to_find(several: Project) -> None:
    [entry] = [str(hook["entry"]) for hook in _hooks() if hook["id"] == "levada-compile"]
    several.levada(*entry.split()[1:])
    (several.folder / "pipelines/flow_4.py").unlink()
    assert several.levada("compile", "--check").returncode == 1
    several.levada(*entry.split()[1:])
    assert several.levada("compile", "--check").returncode == 0
