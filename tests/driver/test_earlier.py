"""What a run that tries another one again takes from it, and what it says of damage there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from levada import runner
from levada.driver import earlier
from levada.request import StepRequest
from levada.store import open_store

from tests.runtime.test_handover import request


def request_of(store: Path, run_id: str) -> StepRequest:
    given = request(store, run_id=run_id)
    given["step"]["code"] = "sha256:" + "0" * 64
    return StepRequest.from_json(given)


def overwrite(path: Path) -> None:
    path.chmod(0o644)
    path.write_text("{")


#: What damages a store in which `double` ran, and what is said of it.
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "record": (
        lambda store: [overwrite(path) for path in store.rglob("record.json")],
        "the record runs/p/before/double/1/record.json is damaged; the step runs again",
    ),
    "blob": (
        lambda store: shutil.rmtree(store / "blobs"),
        "what the step gave in the run before is missing or damaged; the step runs again",
    ),
}


def test_what_succeeded_is_taken(tmp_path: Path) -> None:
    runner.run(request_of(tmp_path, "before"))
    found = earlier.look_up(open_store(str(tmp_path)), request_of(tmp_path, "now"), "before")
    assert found is not None
    assert found.hit
    assert found.warnings == []


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_a_miss_with_a_warning(tmp_path: Path, damage: str) -> None:
    apply, said = DAMAGE[damage]
    runner.run(request_of(tmp_path, "before"))
    apply(tmp_path)
    found = earlier.look_up(open_store(str(tmp_path)), request_of(tmp_path, "now"), "before")
    assert found is not None
    assert not found.hit
    assert found.warnings == [said]
