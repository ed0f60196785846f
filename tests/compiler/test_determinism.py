"""The same module gives the same program: whatever the hash seed, the folder or the Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.case import CASES

ROOT = Path(__file__).parents[2]
DUMP = """
import sys
from levada_compiler.compilation import compile_file
from levada_compiler.program.ir_json import dump
for path in sys.argv[1:]:
    compilation = compile_file(path)
    for item in compilation.diagnostics:
        print(item)
    if compilation.program:
        print(dump(compilation.program))
"""


def dumped(python: str, seed: str, folder: Path) -> str:
    paths = sorted(str(path) for path in folder.glob("*.py"))
    packages = [str(ROOT / part) for part in ("runtime", "compiler")]
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(packages)}
    done = subprocess.run(
        [python, "-W", "error", "-c", DUMP, *paths],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def other_pythons() -> list[str]:
    found = (shutil.which(f"python3.{minor}") for minor in (11, 12, 13, 14))
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.1[1-4]*/bin/python"))
    return [
        path
        for path in (*found, *map(str, pyenv))
        if path and path != sys.executable and "shims" not in path
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "project"
    shutil.copytree(CASES, folder)
    (folder / "pyproject.toml").touch()
    return folder


@pytest.fixture(scope="module")
def reference(project: Path) -> str:
    text = dumped(sys.executable, "0", project)
    assert len(text) > 10_000
    return text


def test_hash_seed(project: Path, reference: str) -> None:
    assert dumped(sys.executable, "7", project) == reference


def test_folder(project: Path, reference: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "project"
    shutil.copytree(project, moved)
    assert dumped(sys.executable, "0", moved) == reference


@pytest.mark.parametrize("python", other_pythons())
def test_python_version(python: str, project: Path, reference: str) -> None:
    assert dumped(python, "0", project) == reference
