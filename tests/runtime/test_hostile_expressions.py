"""No expression takes more than about a second and 100 MB, whatever it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent / "hostile.md"
#: An evaluation ends within about a second; the machine that runs the tests may be busy.
SECONDS = 5.0
MEGABYTES = 100


@pytest.mark.parametrize(("evaluator", "every"), [("run", 1), ("constant", 7)])
def test_ends_within_the_limits(evaluator: str, every: int) -> None:
    command = [sys.executable, "-m", "tests.runtime.hostile_run", str(PAGE), evaluator, str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) > 20
    for each in found:
        assert each["answer"].endswith(("Error", "Overflow")), each
        assert each["seconds"] < SECONDS, each
        assert each["megabytes"] < MEGABYTES, each
