"""Any number of drivers agree on one journal."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from levada.driver.journal import Journal
from levada.store import open_store


def test_what_was_noted_is_read_again(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first = Journal(store, "runs/p/r")
    assert first.read() is None
    assert first.propose({"time": 1.5, "ended": [["a", [], 1]]})["time"] == 1.5
    again = Journal(store, "runs/p/r")
    assert again.read() == {"time": 1.5, "ended": [["a", [], 1]]}
    assert again.read() is None


def test_of_two_that_note_something_one_wins(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    one, other = Journal(store, "runs/p/r"), Journal(store, "runs/p/r")
    assert one.propose({"time": 1.0, "cancel": "x"}) == {"time": 1.0, "cancel": "x"}
    assert other.propose({"time": 2.0}) == {"time": 1.0, "cancel": "x"}
    assert other.propose({"time": 3.0}) == {"time": 3.0}
    assert one.propose({"time": 4.0}) == {"time": 3.0}


def test_many_writers_see_one_order(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    seen: list[list[Any]] = [[] for _ in range(4)]

    def write(number: int) -> None:
        journal = Journal(store, "runs/p/r")
        for turn in range(25):
            seen[number].append(
                journal.propose({"time": float(turn), "ended": [["a", [], number + 1]]})
            )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(entries == seen[0] for entries in seen)
