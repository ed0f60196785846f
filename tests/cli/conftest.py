"""A project folder of its own for each test, and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SMALL = """
from levada import pipeline, step


@step
def one() -> int:
    return 1


@pipeline
def small():
    return one()
"""


@dataclass
class Project:
    """A folder with a pipeline, in which commands are run."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, file: str, text: str) -> Path:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "levada_cli.main", *arguments],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def levada(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder, {"LEVADA_CACHE_DIR": str(tmp_path / "cache")})
    made.write("pipeline.py", SMALL)
    return made
