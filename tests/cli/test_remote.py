"""``cases/remote/*.md``: what all targets with a client share, with one that plays a script.

The form is that of :mod:`.test_commands`; the targets are those of ``rehearsal/``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .markdown import Case, cases
from .test_commands import play

HERE = Path(__file__).parent


@pytest.mark.parametrize("case", cases(HERE / "cases" / "remote"), ids=lambda case: case.id)
def test_commands(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE / "rehearsal"))
    play(case, tmp_path, monkeypatch)
