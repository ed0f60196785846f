"""What a pipeline module becomes, and that it is as an engineer would have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .emission import CASES, GOLDENS, emit, options

FILES = sorted(str(path) for path in GOLDENS.glob("*.py"))


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_its_golden(case: str) -> None:
    files = emit(case)
    assert files == {name: (GOLDENS / name).read_text() for name in files}


def test_there_is_no_golden_without_a_case() -> None:
    given = {str(GOLDENS / name) for case in CASES for name in emit(case)}
    assert given == set(FILES)


def test_ruff_would_not_format_them_otherwise() -> None:
    ruff(FILES, "format", "--diff")


def test_ruff_finds_nothing_in_them() -> None:
    ruff(FILES, "check", "--preview", "--select", "E4,E7,E9,F,I,W")


def test_nor_that_airflow_3_would_refuse() -> None:
    for_2 = {f"{case}.py" for case in CASES if options(case).get("airflow") == 2}
    for_3 = [path for path in FILES if Path(path).name not in for_2]
    ruff(for_3, "check", "--preview", "--select", "AIR")


def ruff(files: list[str], command: str, *given: str) -> None:
    """Run ruff with line length 100 and no configuration of ours."""
    program = str(Path(sys.executable).with_name("ruff"))
    line = [
        program,
        command,
        "--isolated",
        "--no-cache",
        "--line-length",
        "100",
        *given,
        *files,
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
