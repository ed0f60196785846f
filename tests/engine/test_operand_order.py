"""Operands are evaluated from left to right: one that fails holds back the steps of later ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.project import Project

SOURCE = """\
@step
def boom(x: int) -> int:
    raise RuntimeError("boom")

@step
def add(x: int, y: int = 0, z: int = 0) -> int:
    return x + y + z

@pipeline
def main(xs: list[int] = []):
    return {}
"""


@pytest.mark.parametrize(
    ("expression", "error", "steps"),
    [
        ("add(xs[0], boom(1))", "IndexError", []),
        ("add(x=1, y=xs[0], z=boom(1))", "IndexError", []),
        ("add(1, add(xs[0], boom(1)))", "IndexError", []),
        ("[xs[0], boom(1)]", "IndexError", []),
        ("{'a': xs[0], 'b': boom(1)}", "IndexError", []),
        ("{str(xs[0]): boom(1)}", "IndexError", []),
        ("{'a': 1, str(xs[0]): 2, 'b': boom(1)}", "IndexError", []),
        ("{**{'a': xs[0]}, 'b': boom(1)}", "IndexError", []),
        ("{boom(1), xs[0]}", "RuntimeError", ["boom"]),
        ("{xs[0], boom(1)}", "IndexError", []),
        ("[[1], [2]][len(xs) // 0][boom(1)]", "ZeroDivisionError", []),
        ("[1, 2][len(xs) // 0:boom(1)]", "ZeroDivisionError", []),
        ("[[1], [2]][len(xs) // 0][boom(1):]", "ZeroDivisionError", []),
        ("[1, 2][boom(1):len(xs) // 0]", "RuntimeError", ["boom"]),
        ("str(len(xs) // 0).zfill(boom(1))", "ZeroDivisionError", []),
        ("str(xs[0]).split(str(boom(1)))", "IndexError", []),
        ("max(xs[0], boom(1))", "IndexError", []),
        ("f'{xs[0]}{boom(1)}'", "IndexError", []),
        ("xs[0] < boom(1) < xs[1]", "IndexError", []),
        ("boom(1) < xs[0] < xs[1]", "RuntimeError", ["boom"]),
        ("xs[0] in [boom(1)]", "IndexError", []),
        ("xs[0] + boom(1)", "IndexError", []),
        ("xs[0] < boom(1)", "IndexError", []),
        ("f'{xs[0]} {boom(1)}'", "IndexError", []),
        ("add(len(xs) // 0, add(xs[0], boom(1)))", "ZeroDivisionError", []),
        ("add(boom(1), xs[0])", "RuntimeError", ["boom"]),
    ],
)
def test_what_fails_first(tmp_path: Path, expression: str, error: str, steps: list[str]) -> None:
    project = Project(tmp_path, SOURCE.format(expression))
    outcome = project.run()
    assert outcome.error is not None
    assert outcome.error["type"] == error
    assert [s.node for s in outcome.steps if s.status in ("succeeded", "failed")] == steps
