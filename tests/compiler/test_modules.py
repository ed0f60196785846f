"""Steps, pipelines and constants of other modules of the project."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.compiled import Compilation
from levada_compiler.program.ir import Call
from levada_compiler.program.verify import verify

PACKAGE = {
    "pyproject.toml": "",
    "team/__init__.py": "from .steps import train as fit\nfrom . import steps\n",
    "team/sizes.py": "SIZES = [1, 2]\nBASE = 10\n",
    "team/steps.py": """
from __future__ import annotations

from dataclasses import dataclass

import levada as lv
from levada import step as task

from .sizes import BASE, SIZES


@dataclass
class Base:
    size: int


@dataclass
class Report(Base):
    name: "str"


@task
def train(size: int) -> Report: ...


@lv.step(retry=2)
def use(report: Report, size: int | None = None) -> int: ...


@lv.pipeline
def part(n: int = BASE):
    return [use(train(size), n) for size in SIZES]
""",
    "team/inner/__init__.py": "",
    "team/inner/deep.py": """
from levada import *
from ..steps import use

@step
def deep(n): ...
""",
}


def compiled(folder: Path, source: str, **more: str) -> Compilation:
    extra = {f"{name}.py": text for name, text in more.items()}
    for name, text in (PACKAGE | extra | {"flow.py": source}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return compile_file(str(folder / "flow.py"), "flow")


def calls(compilation: Compilation) -> list[tuple[str, str]]:
    assert compilation.program is not None, compilation.diagnostics
    assert verify(compilation.program) == []
    return [(item.id, item.step) for item in compilation.program.body if isinstance(item, Call)]


def messages(compilation: Compilation) -> list[str]:
    return [f"{d.span.file}:{d.span.line} {d.id}: {d.message}" for d in compilation.diagnostics]


def test_every_way_to_import_a_step_finds_the_same_step(tmp_path: Path) -> None:
    source = """
import team
import team.inner.deep
import team.steps as st
from levada import pipeline
from team import fit, steps
from team.inner.deep import deep, use

@pipeline
def flow(n: int = 3):
    a = fit(n)
    b = st.train(a.size)
    c = steps.train(team.fit(b.size).size)
    d = team.inner.deep.deep(c.name)
    return use(c), deep(d)
"""
    train, deep = "team.steps:train", "team.inner.deep:deep"
    found = calls(compiled(tmp_path, source))
    assert [step for _, step in found] == [train] * 4 + [deep, "team.steps:use", deep]


def test_sub_pipeline_of_another_module_has_its_own_constants(tmp_path: Path) -> None:
    source = """
from levada import pipeline
from team.steps import part

SIZES = ["not", "these"]

@pipeline
def flow():
    return part(), part(n=4)
"""
    compilation = compiled(tmp_path, source)
    assert compilation.program is not None, compilation.diagnostics
    assert [node.id for node in compilation.program.body] == ["part", "part_2"]
    assert {step.key for step in compilation.program.steps} == {
        "team.steps:train",
        "team.steps:use",
    }
    read = {Path(path).relative_to(tmp_path).as_posix() for path in compilation.files}
    assert {"flow.py", "team/steps.py", "team/sizes.py", "pyproject.toml"} <= read


def test_names_that_a_module_does_not_have(tmp_path: Path) -> None:
    source = """
import team.steps
from levada import pipeline
from team.steps import trian
from nowhere import work

@pipeline
def flow():
    trian(1)
    team.steps.usee(2)
    work(3)
"""
    assert messages(compiled(tmp_path, source)) == [
        "flow.py:9 undefined-name: `team.steps` has no `trian`",
        "flow.py:10 undefined-name: the module `team.steps` has no `usee`",
        "flow.py:11 unknown-module: `work` comes from `nowhere`, which is neither a module of "
        "this project nor installed",
    ]


def test_a_broken_module_is_reported_once_where_it_is_broken(tmp_path: Path) -> None:
    source = """
from levada import pipeline
from broken import one, two

@pipeline
def flow():
    return one(), two()
"""
    compilation = compiled(tmp_path, source, broken="x = 1\ndef f(:\n")
    assert messages(compilation) == [
        "broken.py:2 syntax-error: invalid syntax, in a module that is imported"
    ]
    assert "def f(:" in compilation.sources["broken.py"]


def test_modules_that_import_each_other(tmp_path: Path) -> None:
    source = """
from levada import pipeline, step
from other import LIMIT, work

SIZE = 3

@pipeline
def flow():
    return work(LIMIT)
"""
    other = """
from flow import SIZE
from levada import step

LIMIT = SIZE + 1

@step
def work(n: int) -> int: ...
"""
    assert calls(compiled(tmp_path, source, other=other)) == [("work", "other:work")]


def test_data_files_of_a_step_are_among_the_files_read(tmp_path: Path) -> None:
    source = """
from levada import pipeline, step

@step(files=["data/*.csv"])
def work(): ...

@pipeline
def flow():
    return work()
"""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_bytes(b"\xff")
    before = compiled(tmp_path, source)
    (tmp_path / "data" / "rows.csv").write_bytes(b"\xfe")
    after = compiled(tmp_path, source)
    changed = {Path(path).name for path in before.files if before.files[path] != after.files[path]}
    assert changed == {"rows.csv"}
    assert before.program is not None
    assert after.program is not None
    assert before.program.steps[0].code != after.program.steps[0].code


@pytest.mark.parametrize(
    "name",
    ["flow.v2.py", "flow.txt", "flow", "flow.PY", "hidden.py", "__main__.py"],
    ids=lambda name: name,
)
def test_a_file_that_no_step_could_be_imported_from(tmp_path: Path, name: str) -> None:
    step = "@step\ndef one() -> int:\n    return 1\n\n"
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "__init__.py").touch()
    file = tmp_path / name
    file.write_text(
        f"from levada import pipeline, step\n\n{step}@pipeline\ndef flow():\n    return one()\n"
    )
    assert [item.id for item in compile_file(str(file)).diagnostics] == ["module-name"]


@pytest.mark.parametrize("name", ["json", "levada", "email.sent", "jsons"])
def test_a_module_of_steps_that_is_called_like_one_of_pythons_own(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "pyproject.toml").touch()
    module = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
    if module.parent != tmp_path:
        module.parent.mkdir()
        (module.parent / "__init__.py").touch()
    module.write_text(
        "from levada import pipeline, step\n\n@step\ndef one():\n    return 1\n\n"
        "@step\ndef two(x):\n    return x\n\n@pipeline\ndef flow():\n    return two(one())\n"
    )
    compiled = compile_file(str(module))
    assert compiled.program is not None
    expected = [] if name == "jsons" else ["module-name"]
    assert [item.id for item in compiled.diagnostics] == expected


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` statements are of Python 3.12")
def test_a_type_statement_is_an_alias(tmp_path: Path) -> None:
    file = tmp_path / "flow.py"
    file.write_text(
        "from levada import pipeline, step\n\ntype Rows = list[int]\ntype Pair[T] = tuple[T, T]\n\n"
        "@step\ndef rows() -> Rows:\n    return [1]\n\n"
        "@step\ndef pair[T](x: T) -> Pair[T]:\n    return x, x\n\n"
        "@pipeline\ndef flow(size: int):\n    low, high = pair(size)\n"
        "    return rows().x, low, high\n"
    )
    (found,) = compile_file(str(file)).diagnostics
    assert found.message == "`rows()` is `Rows`, which has no named outputs such as `x`"
