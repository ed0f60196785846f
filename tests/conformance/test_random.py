"""Random pipelines do what plain Python does, by their program and by the local engine.

500 of them; ``LEVADA_RANDOM=20000`` for more, ``LEVADA_RANDOM_FROM=500`` for others. A failure
says the module, made as small as possible, and how to run it alone.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from levada.store import open_store

from tests.conformance.random_pipelines import PARAMETERS, module
from tests.conformance.random_runs import differences
from tests.conformance.reduction import reduced

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = int(os.environ.get("LEVADA_RANDOM", "500"))
FIRST = int(os.environ.get("LEVADA_RANDOM_FROM", "0"))
AT_A_TIME = 50
#: At least so many of a hundred have to compile: what is refused shows nothing.
COMPILED = 50
STORE = open_store(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, AT_A_TIME))
def test_random_pipelines(first: int, tmp_path: Path) -> None:
    """Outputs, the exception, and the steps that ran with their arguments."""
    (tmp_path / "pyproject.toml").touch()
    refused = 0
    seeds = range(first, min(first + AT_A_TIME, FIRST + COUNT))
    for seed in seeds:
        said = compared(module(seed), seed, tmp_path)
        refused += said is None
        assert not said, report(seed, said, tmp_path)
    assert refused <= len(seeds) * (100 - COMPILED) / 100


def compared(source: str, seed: int, folder: Path) -> list[str] | None:
    """Say how a module differs from plain Python; None where the compiler refuses it."""
    path = folder / f"random_{seed}.py"
    path.write_text(source)
    return differences(path, PARAMETERS[seed % len(PARAMETERS)], STORE, seed)


def report(seed: int, said: list[str], folder: Path) -> str:
    """Return what is wrong, the smallest module that shows the same, and how to repeat it."""
    kind = said[0].split(" ")[:3]
    small = reduced(module(seed), shows(kind, seed, folder))
    return "\n".join(
        [
            *said,
            f"with {PARAMETERS[seed % len(PARAMETERS)]} in",
            small[small.index("@pipeline") :],
            f"repeat: LEVADA_RANDOM_FROM={seed} LEVADA_RANDOM=1 pytest {__file__}",
        ]
    )


def shows(kind: list[str], seed: int, folder: Path) -> Callable[[str], bool]:
    """Return whether a module has a difference of the same kind."""

    def is_shown(source: str) -> bool:
        try:
            said = compared(source, seed, folder) or []
        except Exception:  # noqa: BLE001 - it is no longer a pipeline
            return False
        return any(each.split(" ")[:3] == kind for each in said)

    return is_shown
