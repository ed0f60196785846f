"""A second compile of the same is quick, and never tells an old story."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Project

COMPILE = ("compile", "pipeline.py", "--target", "ir", "-o", "out")
ROOT = Path(__file__).parents[2]


def written(project: Project, name: str = "small") -> str:
    return (project.folder / "out" / f"{name}.ir.json").read_text()


def entry(project: Project) -> Path:
    [path] = Path(project.variables["LEVADA_CACHE_DIR"], "compile").iterdir()
    return path


def compiled(project: Project) -> str:
    done = project.levada(*COMPILE)
    assert done.returncode == 0, done.stderr
    return done.stderr


def is_hit(project: Project) -> bool:
    """Whether a compile gets by without the parser."""
    project.write(
        "sitecustomize.py",
        "import atexit, sys\n"
        "atexit.register(lambda: print('ast' in sys.modules or 'click' in sys.modules))\n",
    )
    project.variables["PYTHONPATH"] = str(project.folder)
    compiled(project)  # the module above and the path are new
    done = project.levada(*COMPILE)
    return done.stdout == "False\n"


def test_an_unchanged_module_is_not_parsed_again(project: Project) -> None:
    assert is_hit(project)


def test_what_was_deleted_or_changed_is_written_again(project: Project) -> None:
    compiled(project)
    before = written(project)
    project.write("out/small.ir.json", before[:-3])
    assert compiled(project) == "wrote     out/small.ir.json\n"
    assert written(project) == before
    shutil.rmtree(project.folder / "out")
    assert compiled(project) == "wrote     out/small.ir.json\n"
    assert compiled(project) == "unchanged out/small.ir.json\n"


def test_warnings_are_shown_every_time(project: Project) -> None:
    project.write(
        "pipeline.py",
        """
from levada import pipeline, step

@step
def one() -> None: ...

@step
def other() -> None: ...

@pipeline
def small():
    made = one()
    other()
""",
    )
    first = compiled(project)
    assert "warning[" in first
    assert compiled(project) == first.replace("wrote    ", "unchanged")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pipeline.py", "from levada import pipeline\n@pipeline\ndef small():\n    '''New.'''\n"),
        ("pyproject.toml", "[tool.levada]\n"),
        ("numbers.py", "ONE = 2\n"),
        ("constants.py", "ONE = 3\n"),
    ],
)
def test_whatever_it_was_made_from_counts(project: Project, file: str, text: str) -> None:
    project.write("constants.py", "ONE = 1\n")
    project.write(
        "pipeline.py",
        """
from levada import pipeline, step
from constants import ONE

@step
def one(x: int) -> int:
    import numbers
    return numbers

@pipeline
def small():
    return one(ONE)
""",
    )
    compiled(project)
    project.write(file, text)
    compiled(project)
    hit = written(project)
    shutil.rmtree(project.variables["LEVADA_CACHE_DIR"])
    compiled(project)
    assert hit == written(project)


SITE = ".venv/lib/python3.11/site-packages"
WITH_PACKAGES = {
    "pyproject.toml": '[tool.uv.sources]\nbq = { path = "../bq" }\n',
    "../bq/src/bq.py": "from levada import step\n\n@step\ndef query() -> int: ...\n",
    f"{SITE}/acme/__init__.py": "from levada import step\n\n@step\ndef take() -> int: ...\n",
    f"{SITE}/acme-1.0.dist-info/RECORD": "acme/__init__.py,,\n",
    f"{SITE}/plain.py": "def work() -> int: ...\n",
    "pipeline.py": """
import acme
import bq
import plain
from levada import pipeline, step

work = step(plain.work)

@pipeline
def small():
    return acme.take(), bq.query(), work()
""",
}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("../bq/src/bq.py", "from levada import step\n\n@step\ndef query() -> str: ...\n"),
        ("../bq/pyproject.toml", '[tool.setuptools.package-dir]\n"" = "lib"\n'),
        ("bq.py", "from levada import step\n\n@step\ndef query() -> bool: ...\n"),
        (f"{SITE}/acme/__init__.py", "from levada import step\n\n@step\ndef take() -> str: ...\n"),
        (f"{SITE}/plain.py", "def work() -> str: ...\n"),
        (f"{SITE}/_acme.pth", "{folder}/linked\n"),
        ("../pyproject.toml", '[tool.uv.workspace]\nmembers = ["project", "other"]\n'),
    ],
)
def test_other_packages_count(project: Project, file: str, text: str) -> None:
    step = "from levada import step\n\n@step\ndef {}() -> float: ...\n"
    project.write("../bq/lib/bq.py", step.format("query"))
    project.write("linked/acme/__init__.py", step.format("take"))
    project.write("../other/acme.py", step.format("take"))
    project.write("../other/pyproject.toml", "")
    for name, content in WITH_PACKAGES.items():
        project.write(name, content)
    compiled(project)
    before = written(project)
    project.write(file, text.format(folder=project.folder))
    compiled(project)
    after = written(project)
    assert after != before
    shutil.rmtree(project.variables["LEVADA_CACHE_DIR"])
    compiled(project)
    assert after == written(project)


def test_packages_do_not_stand_in_the_way(project: Project) -> None:
    for name, content in WITH_PACKAGES.items():
        project.write(name, content)
    assert is_hit(project)


WITH_FILES = """
from levada import pipeline, step

@step(files=["data/*.csv", "more"])
def one() -> int:
    return 1

@pipeline
def small():
    return one()
"""


def test_data_files_do_not_stand_in_the_way(project: Project) -> None:
    project.write("pipeline.py", WITH_FILES)
    project.write("data/a.csv", "1")
    assert is_hit(project)


@pytest.mark.parametrize(
    ("file", "counts"),
    [("data/a.csv", True), ("data/b.csv", True), ("more/x/y", True), ("data/b.txt", False)],
)
def test_data_files_count(project: Project, file: str, counts: bool) -> None:
    project.write("pipeline.py", WITH_FILES)
    project.write("data/a.csv", "1")
    project.write("more/x/z", "1")
    compiled(project)
    before = written(project)
    project.write(file, "2")
    compiled(project)
    assert (written(project) != before) == counts
    (project.folder / file).unlink()
    compiled(project)
    assert (written(project) != before) == (file == "data/a.csv")


@pytest.mark.parametrize("place", [0, 10, 30, 100, 200, -200, -1])
def test_a_damaged_entry_is_no_entry(project: Project, place: int) -> None:
    compiled(project)
    data = bytearray(entry(project).read_bytes())
    data[place] ^= 0xFF
    entry(project).write_bytes(data)
    assert compiled(project) == "unchanged out/small.ir.json\n"
    entry(project).write_bytes(data[:place])
    assert compiled(project) == "unchanged out/small.ir.json\n"


def test_a_cache_that_cannot_be_written_is_done_without(project: Project) -> None:
    project.variables["LEVADA_CACHE_DIR"] = str(project.write("file", "") / "cache")
    compiled(project)
    assert compiled(project) == "unchanged out/small.ir.json\n"


def test_an_edit_of_levada_itself_counts(project: Project, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for package in (
        "runtime/levada",
        "compiler/levada_compiler",
        "backends/levada_backends",
        "cli/levada_cli",
    ):
        shutil.copytree(ROOT / package, copy / Path(package).name)
    project.variables["PYTHONPATH"] = str(copy)
    compiled(project)
    compiled(project)
    target = copy / "levada_backends" / "ir" / "__init__.py"
    target.write_text(target.read_text().replace(".ir.json", ".edited.json"))
    assert compiled(project) == "wrote     out/small.edited.json\n"


def test_other_peoples_targets_are_asked_every_time(project: Project, tmp_path: Path) -> None:
    site = tmp_path / "site"
    project.variables["PYTHONPATH"] = str(site)
    folder = site / "shouting-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[levada.targets]\nshout = shouting:TARGET\n")
    module = site / "shouting.py"
    source = """
from levada_compiler.target import Capabilities

class Shout:
    name = "shout"
    description = "the name, loud"
    capabilities = Capabilities.everything("shouted")

    def check(self, program, options):
        return ()

    def emit(self, program, options):
        return {"shout.txt": program.name.upper() + options.get("mark", "!")}

TARGET = Shout()
"""
    module.write_text(source)
    compile_ = ("compile", "pipeline.py", "--target", "shout", "-o", "-")
    assert project.levada(*compile_).stdout == "SMALL!"
    project.write("pyproject.toml", "[tool.levada.targets.shout]\nmark = '?'\n")
    assert project.levada(*compile_).stdout == "SMALL?"
    module.write_text(source.replace("upper", "title"))
    assert project.levada(*compile_).stdout == "Small?"
    assert "the name, loud" in project.levada("targets").stdout
    module.write_text("import nothing_there\n")
    broken = project.levada(*compile_)
    assert broken.returncode == 2
    assert "the target `shout` cannot be loaded" in broken.stderr
    assert "the name, loud" not in project.levada("targets").stdout


def test_the_environment_and_the_overrides_count(project: Project) -> None:
    project.write(
        "pyproject.toml",
        "[tool.levada.targets.airflow]\nexecutor = 'process'\n"
        "[tool.levada.targets.airflow.environments.prod]\nexecutor = 'kubernetes'\n"
        "store = '/store'\nimage = 'example.com/x@sha256:" + "a" * 64 + "'\n"
        "volumes = [{claim = 'store', path = '/store'}]\n",
    )
    compile_ = ("compile", "pipeline.py", "-t", "airflow", "-o", "-")
    for options, word in (
        ((), "SubprocessHook"),
        (("--env", "prod"), "KubernetesPodOperator"),
        (("--env", "prod", "--set", "executor=docker"), "DockerOperator"),
        (("--env", "prod", "--set", "executor=process"), "SubprocessHook"),
    ):
        done = [project.levada(*compile_, *options) for _ in range(2)]  # the second one is a hit
        assert done[0].returncode == 0, done[0].stderr
        assert done[0].stdout == done[1].stdout
        words = {"SubprocessHook", "KubernetesPodOperator", "DockerOperator"}
        assert {known for known in words if known in done[0].stdout} == {word}


def test_only_the_target_that_is_asked_for_is_imported(project: Project) -> None:
    program = (
        "import sys; sys.argv[1:] = ['compile', 'pipeline.py', '--target', 'ir', '-o', 'out'];"
        "from levada_cli.main import main; main();"
        "print(sorted(name for name in sys.modules if name.startswith('levada_backends.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.folder,
        env=os.environ | project.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['levada_backends.ir']\n"


def test_making_room_touches_nothing_but_entries(project: Project) -> None:
    """The folder may be one where others keep their files."""
    cache = Path(project.variables["LEVADA_CACHE_DIR"])
    names = [f"{number:064x}" for number in range(500)]
    others = ["notes.txt", "a" * 63, f"{'b' * 64}.txt", "compile/notes.txt", "compile/folder/x"]
    for name in [f"compile/{name}" for name in names] + [*names, *others]:
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (cache / "compile" / f"{500:064x}").mkdir()  # cannot be unlinked
    (cache / "compile" / f"{501:064x}.77").write_text("was being written")
    compiled(project)
    assert all((cache / name).read_text() == "mine" for name in [*names, *others])
    left = [path.name for path in (cache / "compile").iterdir() if path.is_file()]
    assert len(left) == 2
    assert "notes.txt" in left
