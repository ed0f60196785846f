"""A program with more edges than an engine should keep is refused before it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from levada_compiler import target_checks, targets
from levada_compiler.compilation import compile_file

SOURCE = """
from levada import pipeline, step

@step
def f(x: int = 0) -> int:
    return x

@pipeline
def flow(c: bool = True):
    x = f()
"""


@pytest.mark.parametrize("name", ["airflow", "kubeflow"])
@pytest.mark.parametrize(("branches", "rules"), [(40, []), (500, ["pipeline-too-large"])])
def test_a_name_that_many_branches_assign(
    name: str, branches: int, rules: list[str], tmp_path: Path
) -> None:
    (tmp_path / "flow.py").write_text(SOURCE + "    if c:\n        x = f(x)\n" * branches)
    program = compile_file(str(tmp_path / "flow.py")).program
    assert program is not None
    found = target_checks.check(targets.load(name), program, {"image": "a"})
    assert [item.id for item in found if item.severity.value == "error"] == rules
