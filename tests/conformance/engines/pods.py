"""Cases whose steps are pods: runs beside each other, and what a case is given in a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.conformance.case import Case
from tests.conformance.trace import Trace
from tests.driver.deployment import STORE


class Runs:
    """The runs of cases by `run`, `at_a_time` of them beside each other."""

    def __init__(self, run: Callable[[Case], Trace], cases: Iterable[Case], at_a_time: int) -> None:
        self._pool = ThreadPoolExecutor(at_a_time)
        self._futures: dict[str, Future[Trace]] = {
            case.id: self._pool.submit(run, case) for case in cases
        }

    def result(self, case: Case) -> Trace:
        """What a case did; waits for its end."""
        return self._futures[case.id].result()

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def parameters(case: Case, store: Path) -> dict[str, Any]:
    """Those of a run, with the folder that a case may write to where the pods see the store."""
    every = store / "given"
    every.mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix=f"{case.id}-", dir=every))  # a store in use has those of before
    given = case.given(folder)
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o777)
    text = json.dumps(given).replace(str(store), STORE)
    found: dict[str, Any] = json.loads(text)
    return found
