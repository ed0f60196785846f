"""Runs whose store is a bucket are started again, replayed and looked at as those of a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine

PIPELINE = """
from levada import pipeline, step
from helpers import clean


@step
def load(rows: int) -> list[int]:
    print("loading")
    return clean(rows)


@step
def fit(points: list[int], depth: int) -> int:
    if depth > 90:
        raise ValueError("too deep")
    return sum(points) * depth


@pipeline
def churn(rows: int = 3000, depth: int = 2):
    return fit(load(rows), depth)
"""
HELPERS = "def clean(rows):\n    return list(range(rows))\n"


class Commands:
    """A project whose store is a bucket."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        (folder / "pyproject.toml").write_text(f'[tool.levada]\nstore = "{url}"\n')
        (folder / "churn.py").write_text(PIPELINE)
        (folder / "helpers.py").write_text(HELPERS)

    def levada(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "levada_cli.main", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done

    def json(self, *words: str, status: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.levada(*words, "--json", status=status).stdout)
        return found


@pytest.fixture
def project(tmp_path: Path, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("LEVADA_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    return Commands(folder, s3.url)


def test_the_code_of_then_is_in_the_bucket(project: Commands) -> None:
    first = project.json("run", "churn.py", "--run-id", "one")
    (project.folder / "helpers.py").write_text("def clean(rows):\n    raise ValueError\n")
    (project.folder / "churn.py").unlink()
    again = project.json("rerun", "one", "--code", "recorded")
    assert [step["cached"] for step in again["steps"]] == [True, True]
    changed = project.json("rerun", "one", "--code", "recorded", "--param", "depth=3")
    assert [step["cached"] for step in changed["steps"]] == [True, False]
    assert changed["outputs"] == first["outputs"] // 2 * 3
    replayed = project.json("replay", "one", "load", "--code", "recorded")
    assert replayed["same"] is True


def test_a_run_is_looked_at_and_tried_again(project: Commands) -> None:
    project.json("run", "churn.py", "--run-id", "one", "--param", "depth=99", status=1)
    assert project.json("status", "churn@latest", status=1)["error"]["message"] == "too deep"
    assert project.levada("logs", "one", "load").stdout == "loading\n"
    (project.folder / "churn.py").write_text(PIPELINE.replace("> 90", "> 990"))
    replayed = project.levada("replay", "one", "fit")
    assert "in the run it failed: ValueError: too deep" in replayed.stderr
    again = project.json("retry", "one")
    assert [step["cached"] for step in again["steps"]] == [True, False]
