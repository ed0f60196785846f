"""Every case on the local engine does what plain Python does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines import local
from tests.conformance.trace import differences


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_local(case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path)
    found = local.run(case, tmp_path)
    assert differences(expected, found, case) == []
