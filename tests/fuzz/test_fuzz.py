"""Any module gives files or diagnostics, for every target, in a bounded time.

So do any options of the targets. ``LEVADA_FUZZ=20000`` compiles more modules,
``LEVADA_FUZZ_FROM=500`` others; ``python -m tests.fuzz --hours 2`` goes on for hours. A
failure shows the module, made as small as possible.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import options
from tests.fuzz.compiling import fault
from tests.fuzz.modules import SOURCES, module
from tests.fuzz.smaller import report

if TYPE_CHECKING:
    from pathlib import Path

COUNT = int(os.environ.get("LEVADA_FUZZ", "300"))
FIRST = int(os.environ.get("LEVADA_FUZZ_FROM", "0"))
AT_A_TIME = 100


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, AT_A_TIME))
def test_a_module_gives_files_or_diagnostics(first: int, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    for seed in range(first, min(first + AT_A_TIME, FIRST + COUNT)):
        said = fault(module(seed), tmp_path)
        assert not said, report(seed, said, tmp_path)


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT // 2, AT_A_TIME))
def test_options_give_files_or_diagnostics(first: int, tmp_path: Path) -> None:
    for seed in range(first, min(first + AT_A_TIME, FIRST + COUNT // 2)):
        said = options.fault(options.project_file(seed), tmp_path)
        assert not said, options.report(seed, said, tmp_path)


def test_most_options_can_be_read() -> None:
    texts = [options.project_file(seed) for seed in range(50)]
    assert sum(map(options.is_toml, texts)) > 25


def test_a_number_gives_one_module() -> None:
    for seed in range(20 * len(SOURCES)):
        assert module(seed) == module(seed)


def test_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that raises is not taken for one that refuses."""

    def broken(*_: object) -> object:
        raise KeyError("x")

    monkeypatch.setattr("tests.fuzz.compiling.compile_file", broken)
    assert fault(b"x = 1", tmp_path).startswith("KeyError in broken (test_fuzz.py)")
