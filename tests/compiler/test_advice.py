"""The help of a message is what to write: `advice.md`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Diagnostic

PAGE = Path(__file__).with_name("advice.md").read_text()
IMPORTS = """\
from datetime import timedelta
from levada import Resources, Retry, Secret, pipeline, step
"""
MODULE = """\
@step{of_step}
def work(size: int = 1) -> int: ...
@pipeline{of_pipeline}
def flow(): work()
"""
REST = """\
@levada.step
def work(size: int) -> int: ...
@levada.pipeline
def flow(): work(1)
"""


def rows(title: str) -> list[tuple[str, str, str]]:
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(plain(one), two, plain(three)) for one, two, three in map(padded, cells)]


def padded(cells: list[str]) -> list[str]:
    return [*(cell.strip("| ") for cell in cells), "", ""][:3]


def plain(cell: str) -> str:
    """The text of a cell, which is code."""
    found = re.fullmatch(r"(`+)(.*?)\1", cell)
    return found[2].strip() if found else cell


def check(folder: Path, text: str) -> tuple[Diagnostic, ...]:
    (folder / "pyproject.toml").touch()
    module = folder / "flow.py"
    module.write_text(text)
    return compile_file(str(module)).diagnostics


@pytest.mark.parametrize("holder", ["step", "pipeline"])
def test_settings(holder: str, tmp_path: Path) -> None:
    cases = rows(f"Settings of {holder}s")
    assert len(cases) > 10
    for written, rule, way_out in cases:
        places = {"of_step": "", "of_pipeline": "", f"of_{holder}": f"({written})"}
        found = check(tmp_path, IMPORTS + MODULE.format(**places))
        assert [one.id for one in found] == ([rule] if rule else []), written
        assert [one.help for one in found] == ([way_out] if rule else []), written


def test_names_without_their_import(tmp_path: Path) -> None:
    """One error, whatever else uses the name; and nothing wrong is said of the rest."""
    cases = rows("Names without their import")
    assert len(cases) > 10
    for written, name, way_out in cases:
        below = "\ndef other() -> int: ...\n" if written.startswith("@") else "\n"
        if written == "@dataclass":
            below = "\nclass Config:\n    size: int\n"
        module = f"import levada\n{written}{below}"
        rest = (
            "@levada.step\ndef work(size: int) -> int: ...\n@levada.pipeline\ndef flow(): work(1)\n"
        )
        found = check(tmp_path, module + rest if "pipeline" not in written else module)
        assert [one.message for one in found] == [f"`{name}` is not imported"] * bool(name), written
        assert [one.help for one in found] == [way_out] * bool(name), written


def test_a_function_of_ours_in_a_pipeline(tmp_path: Path) -> None:
    text = "import levada\n@levada.step\ndef work() -> int: ...\n@levada.pipeline\ndef flow():\n"
    found = check(tmp_path, f"{text}    x = work()\n    after(x)\n    work()\n")
    assert [one.help for one in found if one.severity.value == "error"] == [
        "write `from levada import after`"
    ]


def test_a_deferred_annotation_needs_no_import(tmp_path: Path) -> None:
    """Plain Python never evaluates it."""
    text = "from __future__ import annotations\nfrom levada import pipeline, step\n"
    text += "@step\ndef work(path: Path) -> int: ...\n@pipeline\ndef flow(): work('a')\n"
    assert check(tmp_path, text) == ()


def test_a_star_may_have_brought_it(tmp_path: Path) -> None:
    text = "from somewhere import *\nfrom levada import pipeline, step\n"
    text += "@step\ndef work(path: Path) -> int: ...\n@pipeline\ndef flow(): work('a')\n"
    assert [one.id for one in check(tmp_path, text)] == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [("4GB", "4G"), ("4 GiB", "4Gi"), ("512mb", "512M"), ("1.5tb", "1.5T"), ("2ki", "2Ki")],
)
def test_a_quantity_of_other_tools(given: str, meant: str, tmp_path: Path) -> None:
    places = {"of_step": f"(resources=Resources(memory={given!r}))", "of_pipeline": ""}
    (found,) = check(tmp_path, IMPORTS + MODULE.format(**places))
    assert found.message.endswith(f'did you mean "{meant}"?')


BODY = """\
from datetime import date
import pandas as pd
from levada import parallel, pipeline, step
@step
def work(size: int) -> int: ...
@step
def frame() -> pd.DataFrame: ...
@pipeline
def flow(n: int, name: str, day: date):
    {written}
"""


def test_the_body_of_a_pipeline(tmp_path: Path) -> None:
    cases = rows("In the body of a pipeline")
    assert len(cases) > 10
    for written, rule, way_out in cases:
        (found,) = check(tmp_path, BODY.format(written=written))
        said = found.edit[-1].strip() if found.edit else found.help
        assert (found.id, said) == (rule, way_out), written
