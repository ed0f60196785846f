"""The pipelines of one file are compiled together: read once, from one budget, each as if alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file, compile_pipelines

from tests.compiler.test_growth import lines_of

HEADER = """import enum
from dataclasses import dataclass

from levada import pipeline, step

@step
def f(x: int = 0) -> int:
    return x

"""
#: Seconds of the processor: a machine under load takes 1 s for what the slowest of these takes.
LIMIT = 10.0


def flows(count: int, body: str, parameter: str = "n: int = 1") -> str:
    """So many pipelines of one body, in which `{i}` is the number and `{next}` the next one's."""
    return "".join(
        f"@pipeline\ndef p{i}({parameter}):\n"
        + "".join(f"    {line}\n" for line in body.format(i=i, next=i + 1).splitlines())
        for i in range(count)
    )


def written(folder: Path, text: str) -> str:
    (folder / "pyproject.toml").touch()
    path = folder / "flows.py"
    path.write_text(HEADER + text)
    return str(path)


def test_work_grows_as_the_pipelines_do(tmp_path: Path) -> None:
    def work(count: int) -> int:
        path = written(tmp_path, flows(count, "return f(n)"))
        return lines_of(lambda: compile_pipelines(path, "pipelines"))

    work(5)
    small, large, larger = work(20), work(60), work(100)
    assert abs((larger - large) - (large - small)) < 0.1 * (large - small)


MEMBERS = "".join(f"    A{i} = {i}\n" for i in range(2000))
CLASSES = "".join(
    f"@dataclass\nclass D{i + 1}:\n    a: D{i}\n    b: D{i}\n\n" for i in range(30)
).replace("D0", "int")
TOO_LARGE = {
    "unrolled loops": (flows(400, "for i in range(1000):\n    f(i)"), "pipeline-too-large"),
    "copied lists": (
        flows(400, "x = [f(n)]\n" + "x = x + x\n" * 12 + "f(len(x))"),
        "pipeline-too-large",
    ),
    "defaults": (flows(1500, "f(1)", "n: list[int] = [0] * 9000"), "pipeline-too-large"),
    "members": (
        f"class E(enum.Enum):\n{MEMBERS}\n" + flows(900, "f(1)", "n: E = E.A1"),
        "pipeline-too-large",
    ),
    "classes that double": (CLASSES + flows(40, "f(1)", "n: D30"), "parameter-type"),
    "pipelines that call the next": (
        flows(1400, "p{next}(n)") + "@pipeline\ndef p1400(n: int = 1):\n    f(n)\n",
        "nesting-too-deep",
    ),
    "a loop that is tried as a value": (
        flows(1, "t = 0\nfor i in range(n):\n    for j in range(9000):\n        t = (t, t)\nf(t)"),
        "pipeline-too-large",
    ),
    "names that are not there": (flows(1700, "nope_{i}(n)"), "undefined-name"),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_a_file_has_one_budget(what: str, tmp_path: Path) -> None:
    text, rule = TOO_LARGE[what]
    path = written(tmp_path, text)
    start = time.process_time()
    found = compile_pipelines(path, "pipelines")
    assert time.process_time() - start < LIMIT
    assert rule in {each.id for one in found for each in one.diagnostics}


def test_each_is_compiled_as_if_it_were_alone(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(
        "from levada import step\n\nSIZES = [1, 2]\n\n"
        "@step\ndef load(n: int) -> int:\n    return n\n"
    )
    path = written(
        tmp_path,
        "import steps\n"
        + flows(3, "x = f(n)\nfor size in steps.SIZES:\n    x = f(steps.load(x) + {i})\nreturn x"),
    )
    found = compile_pipelines(path, "pipelines")
    assert [one.program for one in found] == [
        compile_file(path, name).program for name in ("p0", "p1", "p2")
    ]
    assert None not in [one.program for one in found]


def test_a_fault_in_one_leaves_the_others(tmp_path: Path) -> None:
    path = written(
        tmp_path, "@pipeline\ndef bad(n: int):\n    return nope(n)\n" + flows(1, "return f(n)")
    )
    bad, good = compile_pipelines(path, "outermost")
    assert [each.id for each in bad.diagnostics] == ["undefined-name"]
    assert good.program is not None
    assert good.program.name == "p0"


def test_each_has_the_folders_of_its_own_modules(tmp_path: Path) -> None:
    """A folder of another package that one pipeline needs is not searched for the others."""
    package = tmp_path / "bq" / "src"
    package.mkdir(parents=True)
    (package / "bq.py").write_text("SIZE = 2\n")
    folder = tmp_path / "project"
    folder.mkdir()
    path = written(
        folder,
        "import bq\n"
        + flows(1, "return f(n)")
        + "@pipeline\ndef other():\n    return f(bq.SIZE)\n"
        + "@pipeline\ndef last():\n    return f(2)\n",
    )
    (folder / "pyproject.toml").write_text('[tool.uv.sources]\nbq = { path = "../bq" }\n')
    found = compile_pipelines(path, "pipelines")
    alone = [compile_file(path, name).program for name in ("p0", "other", "last")]
    assert [one.program for one in found] == alone
    assert any("bq" in each for one in alone if one for each in one.search)
