"""The reference of the language is true: its examples run, and what it refuses is refused.

The first block is the module that all examples begin with. The comment `# returns …` of an example
is what plain Python returns and what `levada run` gives.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file

from tests.examples.test_churn import LEVADA, ROOT

PAGE = (ROOT / "docs" / "language.md").read_text()
SHARED, *EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(.+)` \| `([a-z-]+)` \| .+ \|$", re.MULTILINE)
REFUSED = ROW.findall(PAGE.partition("## What is refused")[2])
PIPELINE = re.compile(r"^@pipeline.*\ndef (\w+)", re.MULTILINE)
RUN = "import json, shown; print(repr(shown.{}()))"


def written(text: str, folder: Path) -> Path:
    (folder / "pyproject.toml").touch()
    module = folder / "shown.py"
    module.write_text(f"{SHARED}\n\n{text}")
    return module


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: PIPELINE.findall(text)[-1])
def test_an_example_returns_what_is_shown(text: str, tmp_path: Path) -> None:
    module = written(text, tmp_path)
    (shown,) = re.findall(r"^# returns (.+)$", text, re.MULTILINE)
    run = [sys.executable, "-c", RUN.format(PIPELINE.findall(text)[-1])]
    plain = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert plain.stdout.splitlines()[-1] == shown
    command = [LEVADA, "run", str(module), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = json.loads(json.dumps(ast.literal_eval(shown)))
    assert json.loads(done.stdout)["outputs"] == expected


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: PIPELINE.findall(text)[-1])
def test_an_example_compiles_for_every_target(text: str, tmp_path: Path) -> None:
    command = [LEVADA, "compile", str(written(text, tmp_path)), "-o", str(tmp_path / "out")]
    command += ["--set", "image=ghcr.io/team/steps:1"]
    for target in ("airflow", "kubeflow", "kubernetes"):
        command += ["--target", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_are_examples_and_refusals() -> None:
    assert len(EXAMPLES) > 15
    assert len(REFUSED) > 15


@pytest.mark.parametrize(("text", "rule"), REFUSED, ids=lambda cell: cell)
def test_a_line_is_refused(text: str, rule: str, tmp_path: Path) -> None:
    header = "@pipeline\ndef refused(n: int = 3, xs: list[int] = [1]):\n"
    compiled = compile_file(str(written(f"{header}    {text}\n    return n\n", tmp_path)))
    assert compiled.program is None
    first = compiled.diagnostics[0]
    assert first.id == rule
    assert first.help
