"""Machines that share a bucket and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
_PIPELINE = """\
from pathlib import Path
from levada import pipeline, step

@step
def numbers() -> list[float]:
    return [float(n) for n in range(100_000)]

@step
def file() -> Path:
    path = Path("made.txt")
    path.write_text("x" * 200_000)
    return path

@step
def total(xs: list[float], path: Path) -> float:
    return sum(xs) + len(path.read_text())

@pipeline
def flow():
    return total(numbers(), file())
"""


def _run(machine: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the pipeline on a machine that has nothing but the project."""
    machine.mkdir()
    (machine / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
    (machine / "flow.py").write_text(_PIPELINE)
    monkeypatch.setenv("HOME", str(machine / "home"))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "levada"), "run", "flow.py", "--store", url, "--json"],
        cwd=machine,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_one_finds_what_the_other_has_cached(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache depends on no file that only one of them has, its copies of blobs included."""
    for name in ("LEVADA_BLOB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    first = _run(tmp_path / "one", s3.url, monkeypatch)
    assert [step["cached"] for step in first["steps"]] == [False, False, False]
    shutil.rmtree(tmp_path / "one")
    second = _run(tmp_path / "two", s3.url, monkeypatch)
    assert second["outputs"] == first["outputs"]
    assert [step["cached"] for step in second["steps"]] == [True, True, True]
