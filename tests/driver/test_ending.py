"""When a run is ended, by what the journal says and the time."""

from __future__ import annotations

from typing import Any

import pytest
from levada.driver.ending import Ending

LATE = "the run took longer than 10 s"
FOR_GOOD = "its `finally` regions took longer than 5 s"


def ending(**driver: Any) -> Ending:
    return Ending({"timeout": 10, "finally_timeout": 5, **driver}, created=100.0)


@pytest.mark.parametrize(
    ("timeout", "now", "entry"),
    [
        (10, 109.9, None),
        (10, 110.0, {"time": 110.0, "cancel": LATE}),
        (None, 10**9, None),
    ],
)
def test_it_takes_too_long(timeout: float | None, now: float, entry: dict[str, Any] | None) -> None:
    assert ending(timeout=timeout).to_note(now) == entry


def test_it_is_asked_for_and_noted_once() -> None:
    run = ending()
    run.ask("enough")
    run.ask("more")
    entry = run.to_note(101.0)
    assert entry == {"time": 101.0, "cancel": "enough"}
    assert run.take(entry) == ("enough", False)
    assert run.to_note(102.0) is None
    assert run.take({"time": 102.0, "ended": []}) is None


def test_its_exit_handlers_take_too_long() -> None:
    """Counted from the entry that cancelled it, whichever driver wrote that."""
    run = ending()
    run.take({"time": 104.0, "cancel": "enough"})
    assert (run.due, run.to_note(108.9)) == (109.0, None)
    entry = run.to_note(109.0)
    assert entry == {"time": 109.0, "cancel": FOR_GOOD, "force": True}
    assert run.take(entry) == (FOR_GOOD, True)
    assert (run.due, run.to_note(10**9)) == (None, None)
