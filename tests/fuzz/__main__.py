"""Compile modules made at random, for hours: ``python -m tests.fuzz --hours 2 --first 100000``.

Without ``--first`` the numbers begin with the time, so that each run has modules of its own. With
``--language`` modules are run, as plain Python and by the local engine, and compared instead; with
``--options`` one module is compiled with options of the targets that are made at random.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import count
from pathlib import Path

from tests.fuzz import options
from tests.fuzz.compiling import fault
from tests.fuzz.modules import module
from tests.fuzz.smaller import report


def main() -> int:
    """Compile until the time is over; print each kind of fault once. Return 1 if there is one."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--hours", type=float, default=1.0)
    arguments.add_argument("--first", type=int, default=int(time.time()))
    arguments.add_argument("--count", type=int, default=0, help="stop after so many modules")
    arguments.add_argument("--language", action="store_true", help="compare with plain Python")
    arguments.add_argument("--options", action="store_true", help="make options, not modules")
    given = arguments.parse_args()
    judge = _compared if given.language else _configured if given.options else _compiled
    end = time.monotonic() + given.hours * 3600
    start, found = time.monotonic(), set()
    seed = given.first
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").touch()
        for seed in count(given.first):
            if time.monotonic() > end or (given.count and seed - given.first >= given.count):
                break
            said = judge(seed, Path(folder))
            kind = said.partition(":" if given.language else "\n")[0]
            if said and kind not in found:
                found.add(kind)
                print(said, flush=True)
    modules, seconds = seed - given.first, time.monotonic() - start
    speed = f"{modules / seconds:.0f} a second"
    print(f"{modules:,} modules from {given.first}, {speed}, {len(found)} faults")
    return 1 if found else 0


def _compiled(seed: int, folder: Path) -> str:
    said = fault(module(seed), folder)
    return f"{said.partition(chr(10))[0]}\n{report(seed, said, folder)}" if said else ""


def _configured(seed: int, folder: Path) -> str:
    said = options.fault(options.project_file(seed), folder)
    return f"{said.partition(chr(10))[0]}\n{options.report(seed, said, folder)}" if said else ""


def _compared(seed: int, folder: Path) -> str:
    from tests.conformance.random_pipelines import module as of_the_language
    from tests.conformance.test_random import compared
    from tests.conformance.test_random import report as report_difference

    said = compared(of_the_language(seed), seed, folder)
    return report_difference(seed, said, folder) if said else ""


if __name__ == "__main__":
    raise SystemExit(main())
