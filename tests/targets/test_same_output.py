"""What is written changes only if the meaning does: not by a comment, a line or a docstring."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest
from levada_compiler import targets
from levada_compiler.compilation import compile_file

MODULE = '''\
"""A module."""
from levada import Retry, pipeline, step

THRESHOLD = 0.5


@step(retry=Retry(2))
def train(depth: int) -> float:
    """Train a model."""
    return depth / 2


@step
def deploy(auc: float) -> None: ...


@pipeline
def inner(depth: int) -> float:
    return train(depth)


@pipeline(schedule="@daily")
def flow(depths: list[int] = [2, 4], limit: int = 3):
    """Keep the best model."""
    scores = [train(depth) for depth in depths]
    best = inner(limit)
    if best > THRESHOLD:
        deploy(best)
    try:
        deploy(0.5)
    except Exception:
        deploy(0.1)
    return scores
'''
SAME = {
    "a comment above": ("from levada", "# nothing\n\n\nfrom levada"),
    "a comment in the pipeline": ("    best = ", "    # the best\n\n    best = "),
    "a comment in a step": ("    return depth / 2", "    return depth / 2  # half"),
    "an unused constant": ("THRESHOLD = ", "UNUSED = 7\nTHRESHOLD = "),
    "an unused function": ("@step\ndef deploy", "def nothing():\n    pass\n\n\n@step\ndef deploy"),
    "an unused step": (
        "@step\ndef deploy",
        "@step\ndef other() -> int: ...\n\n\n@step\ndef deploy",
    ),
    "other spaces": ("inner(limit)", "inner( limit )"),
    "a docstring of the module": ('"""A module."""', '"""Another module."""'),
    "a call over two lines": ("deploy(0.1)", "deploy(\n            0.1,\n        )"),
}
OTHER = {
    "a constant": ("THRESHOLD = 0.5", "THRESHOLD = 0.6"),
    "a step's code": ("depth / 2", "depth / 3"),
    "a setting": ("Retry(2)", "Retry(3)"),
    "a default": ("limit: int = 3", "limit: int = 4"),
    "a call": ("deploy(0.1)", "deploy(0.2)"),
    "a handler": (
        "    except Exception:\n        deploy(0.1)",
        "    finally:\n        deploy(0.1)",
    ),
}
#: Words that an operator's or a setting's name is made of are data in a docstring.
HOSTILE = "Register a callback( and check the sla( of BACKOFF, missed( nothing: IS_2 Param Label("
DOCSTRINGS = {
    "of the pipeline": ("Keep the best model.", "Keep the best one."),
    "of a step": ("Train a model.", "Train it."),
    "of a step with words of ours": ("Train a model.", HOSTILE),
}
OPTIONS = {"compiler": "0.1.0", "image": "registry.example.com/steps:1", "project": ".."}
OWN = [name for name in targets.available() if targets.is_own(targets.load(name))]


def emitted(target: str, text: str, folder: Path) -> dict[str, str]:
    path = folder / "flow.py"
    path.write_text(text)
    compilation = compile_file(str(path), "flow")
    assert compilation.program is not None, compilation.diagnostics
    return targets.load(target).emit(compilation.program, OPTIONS)


def changed(edit: tuple[str, str]) -> str:
    assert edit[0] in MODULE
    return MODULE.replace(*edit)


# The program itself has the places of everything: `ir` is for tools that show them.
@pytest.mark.parametrize("target", [name for name in OWN if name != "ir"])
@pytest.mark.parametrize("edit", SAME)
def test_it_is_the_same(target: str, edit: str, tmp_path: Path) -> None:
    assert emitted(target, changed(SAME[edit]), tmp_path) == emitted(target, MODULE, tmp_path)


@pytest.mark.parametrize("target", OWN)
@pytest.mark.parametrize("edit", OTHER)
def test_it_is_another(target: str, edit: str, tmp_path: Path) -> None:
    assert emitted(target, changed(OTHER[edit]), tmp_path) != emitted(target, MODULE, tmp_path)


@pytest.mark.parametrize("target", [name for name in OWN if name != "ir"])
@pytest.mark.parametrize("edit", DOCSTRINGS)
def test_a_docstring_changes_only_its_own_text(target: str, edit: str, tmp_path: Path) -> None:
    before, after = DOCSTRINGS[edit]
    files = emitted(target, MODULE, tmp_path)
    for path, text in emitted(target, changed((before, after)), tmp_path).items():
        lines = difflib.ndiff(files[path].splitlines(), text.splitlines())
        differ = [line for line in lines if line.startswith(("+ ", "- "))]
        assert all(after[:20] in line or before in line for line in differ), differ


@pytest.mark.parametrize("target", [name for name in OWN if name != "ir"])
def test_it_names_the_environment_that_it_is_for(target: str, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(MODULE)
    program = compile_file(str(tmp_path / "flow.py"), "flow").program
    assert program is not None
    without, named = (
        "".join(targets.load(target).emit(program, OPTIONS | options).values())
        for options in ({}, {"environment": "prod"})
    )
    assert "LEVADA_ENVIRONMENT" not in without
    assert re.search(r"LEVADA_ENVIRONMENT\W+(value\W+)?prod\W", named)
