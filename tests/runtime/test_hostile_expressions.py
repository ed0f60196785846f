"""No expression takes more than about a second and 100 MB, whatever it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent / "hostile.md"
#: Of the processor. An evaluation takes about one; that of a busy machine is slower.
SECONDS = 5.0
MEGABYTES = 100


#: A line takes a second by intent, so it is some of them, or all with `LEVADA_EVERY_INPUT=1`.
EVERY = (
    {"run": 3, "constant": 7}
    if not os.environ.get("LEVADA_EVERY_INPUT")
    else {"run": 1, "constant": 1}
)


@pytest.mark.parametrize(("evaluator", "every"), EVERY.items())
def test_ends_within_the_limits(evaluator: str, every: int) -> None:
    command = [sys.executable, "-m", "tests.runtime.hostile_run", str(PAGE), evaluator, str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) > 20
    for each in found:
        assert each["answer"].endswith(("Error", "Overflow")), each
        assert each["seconds"] < SECONDS, each
        assert each["megabytes"] < MEGABYTES, each
