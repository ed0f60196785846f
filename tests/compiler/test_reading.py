"""Several files are compiled with what they share read once, and give what each gives alone."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from levada.code import parse
from levada_compiler.compilation import Reading, compile_pipelines
from levada_compiler.program.ir_json import dump

if TYPE_CHECKING:
    from levada_compiler.compiled import Compilation

SHARED = """
from dataclasses import dataclass
from enum import Enum

from levada import step

SIZES = [1, 2, 3]


class Kind(Enum):
    SMALL = "small"


@dataclass
class Limits:
    most: int = 3


def plain(rows: int) -> int:
    \"\"\"Double.\"\"\"
    return rows * 2


@step
def load(size: int, kind: Kind = Kind.SMALL) -> int:
    return size
"""
#: Each takes other things of the shared module, in another way.
FILES = {
    "one.py": """
from levada import pipeline, step
from shared import SIZES, load, plain

doubled = step(plain, name="twice")


@pipeline
def one():
    return [doubled(load(size)) for size in SIZES]
""",
    "two.py": """
from levada import pipeline, step
import shared

halved = step(shared.plain, retries=2)


@pipeline
def two(kind: shared.Kind = shared.Kind.SMALL):
    return halved(shared.load(shared.Limits().most, kind))
""",
    "nested/three.py": """
from levada import pipeline
from shared import load
from one import one


@pipeline
def three():
    one()
    left = load(1)
    return load("text")
""",
    "broken.py": """
from levada import pipeline
from wrong import load


@pipeline
def four():
    return load(1)
""",
    "wrong.py": "def load(:\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    for name, text in {"shared.py": SHARED, **FILES}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def described(results: list[Compilation]) -> list[object]:
    return [
        (result.program and dump(result.program), result.diagnostics, result.files)
        for result in results
    ]


@pytest.mark.parametrize("order", [list(FILES), list(reversed(FILES))], ids=["", "reversed"])
@pytest.mark.parametrize("forgets", [False, True])
def test_the_same_as_alone(folder: Path, order: list[str], forgets: bool) -> None:
    reading = Reading()
    for name in order:
        path = str(folder / name)
        together = compile_pipelines(path, "pipelines", reading=reading)
        assert described(together) == described(compile_pipelines(path, "pipelines"))
        if forgets:
            reading.syntax.forget(path)


def test_nothing_changes_the_syntax_that_is_shared(folder: Path) -> None:
    reading = Reading()
    for name in FILES:
        compile_pipelines(str(folder / name), "pipelines", reading=reading)
    assert str(folder / "shared.py") in reading.syntax.trees
    for path, tree in reading.syntax.trees.items():
        fresh = parse(Path(path).read_text(), path)
        dumped = [ast.dump(each, include_attributes=True) for each in (tree, fresh)]
        assert dumped[0] == dumped[1], path


def test_a_shared_module_is_parsed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from levada import code

    parsed: list[str] = []

    def counted(text: str, path: str) -> ast.Module:
        parsed.append(Path(path).name)
        return parse(text, path)

    monkeypatch.setattr(code, "parse", counted)
    reading = Reading()
    for name in ("one.py", "two.py", "nested/three.py"):
        compile_pipelines(str(folder / name), "pipelines", reading=reading)
    assert parsed.count("shared.py") == 1
