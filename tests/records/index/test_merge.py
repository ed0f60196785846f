"""Nothing is lost, in whatever order entries are written, read and compacted."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada import index_log
from levada.store import open_store
from levada_records.index import log_entries, rows
from levada_records.index import segments as segment_forms
from levada_records.index.follow import Follower
from levada_records.index.sqlite_index import SqliteIndex

from .entries import ended, noted, started, tagged, write

_numbers = itertools.count(1)
NAMES = st.text("0123456789", min_size=1, max_size=2)
ENTRIES = st.one_of(
    st.builds(lambda user: started("r", user=user), st.text(max_size=2)),
    st.builds(
        lambda status: ended("r", status=status), st.sampled_from(["succeeded", "failed", "newer"])
    ),
    st.builds(
        lambda tags: tagged("r", **tags),
        st.dictionaries(st.sampled_from("ab"), st.none() | st.text(max_size=2)),
    ),
    st.builds(lambda note: noted("r", note), st.text(max_size=2)),
)


@given(st.lists(st.tuples(NAMES, ENTRIES), min_size=1, max_size=6), st.data())
def test_the_order_of_entries_does_not_matter(
    given_entries: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    found = [rows.row_of_entry(name, entry) for name, entry in given_entries]
    held = [row for row in found if row is not None]
    shuffled = data.draw(st.permutations(held + held[:2]))
    at = data.draw(st.integers(0, len(shuffled)))
    [expected] = rows.merged(held).values()
    assert list(rows.merged(shuffled).values()) == [expected]
    parts = [*rows.merged(shuffled[:at]).values(), *rows.merged(shuffled[at:]).values()]
    assert list(rows.merged(parts).values()) == [expected]


#: What happens, one after the other: some time passes, a run writes two entries by a clock that is
#: up to an hour off, one of two clients syncs, or both do so at the same time.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([60, 3600, 13 * 3600, 26 * 3600])),
        st.tuples(st.just("run"), st.sampled_from([-3600, -1200, 0, 1200, 3600])),
        st.tuples(st.just("sync"), st.integers(0, 1)),
        st.tuples(st.just("both"), st.just(0)),
        st.tuples(st.just("gc"), st.just(0)),
    ),
    min_size=5,
    max_size=60,
)


class _World:
    """A store, two clients of it, and the time."""

    def __init__(self) -> None:
        self.store = open_store(f"memory://merge-{next(_numbers)}")
        self.store.prepare()
        self.now = 1_767_366_245.0
        self.runs: list[str] = []
        self.clients = [SqliteIndex(":memory:"), SqliteIndex(":memory:")]

    def step(self, kind: str, value: int) -> None:
        getattr(self, kind)(value)

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def run(self, skew: int) -> None:
        run_id = f"r{len(self.runs):03}"
        self.runs.append(run_id)
        for kind in (started, ended):
            self.now += 1
            write(self.store, kind(run_id, self.now), self.now + skew, f"{len(self.runs):08x}")

    def sync(self, number: int) -> None:
        Follower(self.store, self.clients[number]).sync()

    def both(self, _: int) -> None:
        followers = [Follower(self.store, client) for client in self.clients]
        for follower in followers:
            follower._take_segments()
        kept = [follower._kept() for follower in followers]
        listed = [follower._listed() for follower in followers]
        for follower, each, names in zip(followers, kept, listed, strict=True):
            assert each.issubset(names), "the store is taken for another one"
            follower._take_entries(names)
        for follower in followers:
            follower._compact()

    def gc(self, _: int) -> None:
        covered = segment_forms.covered_entries(self.store)
        self.store.delete_all([log_entries.path_of(name) for name in sorted(covered)])
        self.store.delete_all(sorted(segment_forms.covered_segments(self.store)))

    def statuses(self, client: SqliteIndex) -> dict[str, str]:
        Follower(self.store, client).sync()
        sql = "SELECT run_id, status FROM runs WHERE started IS NOT NULL ORDER BY run_id"
        return dict(client.execute(sql))


@pytest.mark.parametrize("sizes", [(2, 2), (5, 3)])
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_two_compactors_and_a_clock_that_is_an_hour_off_lose_nothing(
    sizes: tuple[int, int], steps: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(segment_forms, "ENTRIES", sizes[0])
        patch.setattr(segment_forms, "PARTS", sizes[1])
        world = _World()
        patch.setattr(log_entries.time, "time", lambda: world.now)
        for kind, value in steps:
            world.step(kind, value)
        expected = dict.fromkeys(world.runs, "succeeded")
        for client in (*world.clients, SqliteIndex(":memory:")):
            assert world.statuses(client) == expected
            client.close()


def test_an_entry_is_its_row_whatever_is_in_it() -> None:
    entry = started("r\0\ud800", user="\0", params={"a\ud800": ["\0", float("nan")], "b": 1})
    row = rows.row_of_entry("1", entry)
    assert row is not None
    named = dict(zip(rows.NAMES, row, strict=True))
    assert named["run_id"].encode()
    assert named["user"] == "\N{REPLACEMENT CHARACTER}"
    [(name, values), b] = json.loads(named["params"].encode()).items()
    assert name.startswith("a\N{REPLACEMENT CHARACTER}")
    assert values == ["\N{REPLACEMENT CHARACTER}", "NaN"]
    assert b == ("b", 1)


def test_names_sort_by_time() -> None:
    names = [index_log.entry_time(int(each * 1e9)) for each in (0.5, 1.0, time.time())]
    assert names == sorted(names)
    assert log_entries.name_earlier(names[1] + "-00000000", 0.5) == names[0]
    assert log_entries.name_earlier("somebody's file", 1) == ""
