"""What the documentation shows is true: its pipelines compile, and those of steps run."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file

from tests.examples.test_churn import LEVADA, ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PIPELINES = [
    pytest.param(text, page.stem, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, text in enumerate(BLOCK.findall(page.read_text()))
    if re.search(r"^@pipeline", text, re.MULTILINE)
    and page.stem not in ("from-a-script", "language")  # tests/docs
]


def written(text: str, folder: Path) -> Path:
    (folder / "pyproject.toml").touch()
    module = folder / "shown.py"
    module.write_text(text)
    return module


@pytest.mark.parametrize(("text", "page"), PIPELINES)
def test_a_pipeline_that_is_shown_compiles(text: str, page: str, tmp_path: Path) -> None:  # noqa: ARG001
    compiled = compile_file(str(written(text, tmp_path)))
    assert compiled.program is not None, compiled.diagnostics


STEPS = [shown.values[0] for shown in PIPELINES if shown.values[1] == "steps"]


@pytest.mark.parametrize(("text", "output"), list(zip(STEPS, (2.0, [2.0, 2.0], 21), strict=True)))
def test_the_steps_that_are_shown_run(
    text: str, output: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "a secret that is not shown")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "points.sql").touch()
    command = [LEVADA, "run", str(written(text, tmp_path)), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == output


TITLED = re.compile(r"^```\w+ title=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_steps_of_another_package_that_are_shown_run(tmp_path: Path) -> None:
    for name, text in TITLED.findall((ROOT / "docs" / "steps.md").read_text()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [LEVADA, "run", str(tmp_path / "pipelines" / "nightly.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == 8
