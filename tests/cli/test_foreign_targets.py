"""A target of another distribution: found, asked, refused by its capabilities, and blamed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import Project

LOOP = """\
from levada import pipeline, step


@step
def work(size: int) -> int:
    return size


@pipeline
def small(sizes: list[int] = [1, 2]):
    for size in sizes:
        work(size)
"""
TARGET = """
from levada_compiler.diagnostics.diagnostic import Diagnostic
from levada_compiler.options import TEXT, Option, OptionTable
from levada_compiler.target import Capabilities, refuses


class Options(OptionTable):
    mark = Option(TEXT, "!", "How a line ends.")


everything = Capabilities.everything("shouted", Options)
others = tuple(one for one in everything.constructs if one.name != "fan-out")


class Shout:
    name = "shout"
    description = "the name, loud"
    capabilities = Capabilities(
        (*others, *refuses({"fan-out": "a shout is one"})), everything.settings, Options
    )

    def check(self, program, options):
        if len(program.name) > 20:
            return (Diagnostic("shout-too-long", "that is too long", program.span, help="shorten"),)
        return ()

    def emit(self, program, options):
        return {"shout.txt": program.name.upper() + Options(options).mark}


TARGET = Shout()
"""
PAGE = "# shout-too-long\n\nA name is too long to be shouted.\n"


@pytest.fixture
def shouting(project: Project, tmp_path: Path) -> Project:
    """A project where the distribution `shouting` is installed."""
    site = tmp_path / "site"
    project.variables["PYTHONPATH"] = str(site)
    described = site / "shouting-1.4.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.4\n")
    (described / "entry_points.txt").write_text("[levada.targets]\nshout = shouting.loud:TARGET\n")
    (site / "shouting" / "rules").mkdir(parents=True)
    (site / "shouting" / "__init__.py").touch()
    (site / "shouting" / "rules" / "shout-too-long.md").write_text(PAGE)
    (site / "shouting" / "loud.py").write_text(TARGET)
    return project


def edit(project: Project, before: str, after: str) -> None:
    module = Path(project.variables["PYTHONPATH"], "shouting", "loud.py")
    text = module.read_text()
    assert before in text
    module.write_text(text.replace(before, after))


COMPILE = ("compile", "pipeline.py", "-t", "shout", "-o", "-")


def test_it_compiles_with_its_options(shouting: Project) -> None:
    assert shouting.levada(*COMPILE).stdout == "SMALL!"
    assert shouting.levada(*COMPILE, "--set", "mark=?").stdout == "SMALL?"
    wrong = shouting.levada(*COMPILE, "--set", "mark=3")
    assert "error[invalid-option]: in [tool.levada.targets.shout] `mark` must be" in wrong.stderr


def test_a_construct_that_it_refuses_is_refused_at_its_place(shouting: Project) -> None:
    shouting.write("pipeline.py", LOOP)
    done = shouting.levada(*COMPILE, "--format", "concise")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "pipeline.py:11:5: error[unsupported-construct]: the target `shou"
    )
    assert done.stdout == ""


def test_its_rules_are_explained(shouting: Project) -> None:
    shouting.write(
        "pipeline.py",
        LOOP.replace("small", "x" * 30).replace("(size)", "(1)").replace("for size in", "if"),
    )
    done = shouting.levada(*COMPILE, "--format", "concise")
    assert "error[shout-too-long]: that is too long" in done.stderr
    assert shouting.levada("explain", "shout-too-long").stdout == PAGE
    assert "shout-too-long" in shouting.levada("explain").stdout


RAISES = 'raise LookupError("no voice")'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("if len(program.name) > 20:", f"{RAISES}\n        if 0:", "LookupError: no voice"),
        ("return {", f"{RAISES}\n        return {{", "LookupError: no voice"),
        ("return {", "raise SystemExit(3)\n        return {", "SystemExit: 3"),
        ("return {", "open('/no/such/file')\n        return {", "FileNotFoundError: "),
        ('"shout.txt"', '"../shout.txt"', "ValueError: `emit` gave the file `../shout.txt`"),
        ('"shout.txt"', '"/shout.txt"', "ValueError: `emit` gave the file `/shout.txt`"),
        ("+ Options(options).mark", "and 7", "TypeError: `emit` has to give str, not 7"),
        ("return ()", 'return ("no",)', "TypeError: `check` has to give Diagnostic, not 'no'"),
        (
            "    capabilities = ",
            f"    @property\n    def capabilities(self): {RAISES}\n    other = ",
            "LookupError: no voice",
        ),
        (
            "TARGET = S",
            "Shout.capabilities = 5\nTARGET = S",
            "`capabilities` has to give Capabilities",
        ),
    ],
)
def test_what_it_raises_is_its_own_fault(
    before: str, after: str, said: str, shouting: Project
) -> None:
    edit(shouting, before, after)
    done = shouting.levada(*COMPILE)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the target `shout` (package shouting 1.4) failed: ")
    assert said in done.stderr
    report = re.search(r"report it to its authors, with the file (\S+)$", done.stderr)
    assert report is not None, done.stderr
    assert "loud.py" in Path(report[1]).read_text() or "`" in said
    assert done.stdout == ""


@pytest.mark.parametrize("after", ["raise RuntimeError('closed')", "def", "import nothing_there"])
def test_a_module_that_cannot_be_imported_is_named(after: str, shouting: Project) -> None:
    edit(shouting, "TARGET = Shout()", after)
    done = shouting.levada(*COMPILE)
    assert done.returncode == 2
    assert "the target `shout` cannot be loaded (shouting.loud:TARGET): " in done.stderr
    assert "airflow" in shouting.levada("targets").stdout
