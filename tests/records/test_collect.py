"""`levada gc`: what it removes, what it keeps, and that runs lose nothing meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from levada import document_schemas, index_log, materializers, records, values
from levada.artifact import Artifact
from levada.store import MissingBlob, Store, blob_name, open_store
from levada_records import collect as collecting
from levada_records import digests, reachable
from levada_records.collect import Policy, Report, collect

DAY = 86_400
SCHEMA = Path(collecting.__file__).parent / "schemas" / "gc.json"


class World:
    """A store in which runs are written, and the clock by which they are collected."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.began = time.time_ns()
        self.days = 0.0
        monkeypatch.setattr(collecting, "time_ns", self.now)

    def now(self) -> int:
        return self.began + int(self.days * DAY * 1e9)

    def at(self, days: float) -> str:
        return records.timestamp(self.began + int(days * DAY * 1e9))

    def run(
        self,
        run_id: str,
        *held: Artifact,
        ended: float | None = 0.0,
        pipeline: str = "p",
        **more: Any,
    ) -> str:
        """Write a run with one record; ``ended`` is in days, None for one that has no end."""
        folder = records.run_path(pipeline, run_id)
        engine = more.pop("engine", {"name": "local"})
        document = {
            "schema": records.RUN_SCHEMA,
            "created": self.at(ended or 0.0),
            "engine": engine,
        }
        self.write(f"{folder}/run.json", document)
        self.record(folder, *held, **more)
        if ended is not None:
            self.write(f"{folder}/outcome.json", {"finished": self.at(ended)})
        return folder

    def record(self, folder: str, *held: Artifact, **more: Any) -> None:
        artifacts = {f"a{number}": each.as_json() for number, each in enumerate(held)}
        self.write(f"{folder}/step/1/record.json", {"artifacts": artifacts, **more})
        self.store.write_once(f"{folder}/step/1/log", b"hello")

    def write(self, path: str, document: dict[str, Any]) -> None:
        assert self.store.write_once(path, records.document(document))

    def entry(self, key: str, *held: Artifact) -> str:
        path = f"cache/{key * 64}/{time.time_ns() // 1000:017d}-00000000.json"
        artifacts = {f"a{number}": each.as_json() for number, each in enumerate(held)}
        self.write(path, {"artifacts": artifacts})
        return path

    def save(self, value: object) -> Artifact:
        return values.save(value, self.store)

    def collect(self, day: float, keep: float = 90, **more: Any) -> Report:
        """Collect on this day, as far as the clock of `collect` is concerned."""
        self.days = day
        policy = Policy(keep=keep * DAY, **{"grace": 3600.0, **more})
        before = sorted(path for path, _ in self.store.walk())
        dry = collect(self.store, policy, dry_run=True)
        assert sorted(path for path, _ in self.store.walk()) == before
        report = collect(self.store, policy)
        found = report.as_json()
        jsonschema.validate(found, json.loads(SCHEMA.read_text()))
        expected = dry.as_json()
        assert {**expected, "dry_run": False} == found
        return report

    def collect_twice(self, day: float, **more: Any) -> Report:
        self.collect(day, **more)
        return self.collect(day + 1, **more)

    def has(self, artifact: Artifact) -> bool:
        """Whether its blob is there; not by what this machine keeps of a bucket."""
        return blob_name(artifact.digest) in {path for path, _ in self.store.walk("blobs")}

    def runs(self) -> list[str]:
        return sorted({path.split("/")[2] for path, _ in self.store.walk("runs")})


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    return World(open_store(str(tmp_path / "store")), monkeypatch)


@pytest.fixture(params=["directory", "memory", pytest.param("s3", marks=pytest.mark.engine)])
def any_world(request, tmp_path, monkeypatch) -> World:
    if request.param == "s3":
        return World(open_store(request.getfixturevalue("s3").url), monkeypatch)
    url = (
        str(tmp_path / "store") if request.param == "directory" else f"memory://gc/{tmp_path.name}"
    )
    return World(open_store(url), monkeypatch)


# ---------------------------------------------------------------- what goes


def test_an_old_run_goes_at_once_and_its_values_with_a_later_call(any_world):
    world = any_world
    alone, shared, young = (world.save(letter * 5000) for letter in "abc")
    world.run("old", alone, shared)
    world.run("new", shared, young, ended=95)
    first = world.collect(100)
    assert world.runs() == ["new"]
    assert (first.blobs, first.next_blobs) == (0, 1)
    assert world.has(alone)
    soon = world.collect(100 + 0.5 / 24)  # within the grace period
    assert (soon.blobs, soon.next_blobs) == (0, 1)
    later = world.collect(100 + 2 / 24)
    assert (later.blobs, later.blob_bytes, later.next_blobs) == (1, alone.size, 0)
    assert [world.has(each) for each in (alone, shared, young)] == [False, True, True]
    assert world.store.list("gc") == []
    assert world.collect(101).as_json()["blobs"] == {"count": 0, "bytes": 0}


def test_nothing_of_a_removed_run_is_left(world, tmp_path):
    world.run("old", world.save("x" * 5000))
    world.collect(100)
    assert not (tmp_path / "store" / "runs" / "p" / "old").exists()


def test_the_log_of_the_index_says_that_a_run_is_removed(world):
    world.run("old")
    world.collect(100)
    (name,) = world.store.list("index/log")
    entry = json.loads(world.store.read(f"index/log/{name}"))
    assert document_schemas.fits(entry, "index")
    assert (entry["kind"], entry["run_id"], list(entry["tags"])) == ("tagged", "old", ["removed"])


def test_an_empty_store_and_one_that_is_not_there(world):
    assert world.collect(100).as_json()["runs"]["count"] == 0


# ---------------------------------------------------------------- which runs stay


def test_runs_that_are_young_enough_stay(world):
    world.run("a", ended=10)
    world.run("b", ended=11)
    report = world.collect(100.5)
    assert world.runs() == ["b"]
    assert report.kept == {"it is young enough": 1}


def test_the_latest_of_each_pipeline_stay(world):
    for pipeline in ("p", "q"):
        for day in range(4):
            world.run(f"{pipeline}{day}", ended=day, pipeline=pipeline)
    world.collect(200, keep_runs=2)
    assert world.runs() == ["p2", "p3", "q2", "q3"]


def annotate(world, folder, name, tags):
    document = {"schema": "levada.annotation/1", "tags": tags}
    world.write(f"{folder}/annotations/{name}.json", document)


def test_tags_keep_runs(world):
    annotate(world, world.run("kept"), "1", {"keep": "yes"})
    annotate(world, world.run("tagged"), "1", {"team": "a"})
    once = world.run("once")
    annotate(world, once, "1", {"keep": "yes", "team": "a"})
    annotate(world, once, "2", {"keep": None, "team": None})
    world.collect(200, keep_tagged=True)
    assert world.runs() == ["kept", "tagged"]
    world.collect(201)
    assert world.runs() == ["kept"]


def test_a_run_that_another_one_was_started_from_stays(world):
    world.run("first")
    world.run("second", engine={"name": "local", "retry_of": "first"})
    world.run("third", ended=150, engine={"name": "local", "rerun_of": "second"})
    world.run("lone")
    report = world.collect(200)
    assert world.runs() == ["first", "second", "third"]
    assert report.kept["run third was started from it"] == 1
    assert report.kept["run second was started from it"] == 1


def test_what_a_model_names_stays_whatever_version_wrote_that(world):
    kept = world.save("m" * 5000)
    world.run("trained")
    world.run("other")
    world.write("models/churn/versions/1.json", {"run": {"run_id": "trained"}})
    world.write("models/churn/later/x.json", {"artifact": kept.as_json()})
    report = world.collect_twice(200)
    assert world.runs() == ["trained"]
    assert report.kept == {"models name it": 1}
    assert world.has(kept)


@pytest.mark.parametrize("name", ["run.json", "annotations/1.json"])
def test_a_run_with_a_document_of_a_later_version_stays(name, world):
    """It may have been told to stay, in a way that this version does not know."""
    world.run("first")
    folder = records.run_path("p", "later")
    document = {"schema": "levada.later/9", "made_of": {"run": "p/first"}, "tags": {}}
    if name != "run.json":
        origin = {"retry_of": "first"}
        world.write(
            f"{folder}/run.json",
            {"schema": records.RUN_SCHEMA, "created": world.at(0), "engine": origin},
        )
    world.write(f"{folder}/{name}", document)
    world.write(f"{folder}/outcome.json", {"finished": world.at(0)})
    world.run("other")
    report = world.collect(200)
    assert world.runs() == ["first", "later"]
    later = f"{name} is of another version of Levada (levada.later/9), and may say that it stays"
    assert report.kept == {later: 1, "run later was started from it": 1}


def test_a_run_that_a_damaged_document_names_stays(world):
    world.run("first")
    folder = records.run_path("p", "second")
    world.store.write_once(f"{folder}/run.json", b'{"engine": {"retry_of": "first", "na')
    world.write(f"{folder}/outcome.json", {"finished": world.at(150)})
    world.collect(200)
    assert world.runs() == ["first", "second"]


@pytest.mark.parametrize("name", ["annotations/1.json", "again/1/log"])
def test_a_run_that_is_written_to_after_the_decision_stays(any_world, monkeypatch, name):
    """Somebody tags it, or tries it again, while others are removed."""
    world, values = any_world, [any_world.save(letter * 5000) for letter in "ab"]
    for run_id, value in zip(("1", "2"), values, strict=True):
        world.run(run_id, value)
    removed = index_log.write_removed

    def write_removed(store, pipeline, run_id):
        assert run_id == "1"
        world.write(f"{records.run_path('p', '2')}/{name}", {"tags": {"keep": "yes"}})
        removed(store, pipeline, run_id)

    monkeypatch.setattr(index_log, "write_removed", write_removed)
    world.days = 200
    report = collect(world.store, Policy(keep=90 * DAY))
    assert world.runs() == ["2"]
    assert [run.run_id for run in report.runs] == ["1"]
    assert report.kept == {"it was written to just now": 1}
    assert (report.blobs, report.next_blobs) == (0, 1)
    assert len(world.store.list("index/log")) == 1


def test_a_run_that_has_no_end_stays_as_long_as_it_may_run(world):
    world.run("r", ended=None)
    report = world.collect(29, keep=1)
    assert report.kept == {"it may be running": 1}
    assert report.running == ["p/r"]
    world.collect(31, keep=1)
    assert world.runs() == []


def test_a_task_that_its_engine_starts_once_more_after_the_end_may_run(world):
    folder = world.run("r", ended=-5)
    world.store.write_once(f"{folder}/step/2/started", b"")
    report = world.collect(20, keep=1)
    assert report.kept == {"it may be running": 1}
    world.write(f"{folder}/step/2/record.json", {})
    world.collect(21, keep=1)
    assert world.runs() == []


# ---------------------------------------------------------------- what is referred to


class Odd:
    """Something of another package."""


class OddMaterializer:
    name = "odd"

    def handles(self, value: object) -> bool:
        return isinstance(value, Odd)

    def save(self, value: object, sink: materializers.Sink) -> None:  # noqa: ARG002
        sink.write(b"ODD " + sink.store.put_blob(b"the other half").encode())

    def load(self, source: materializers.Source) -> object:  # noqa: ARG002
        return Odd()


def test_blobs_of_any_kind_stay_with_their_run(any_world, tmp_path, monkeypatch):
    import numpy as np

    world, store = any_world, any_world.store
    monkeypatch.setattr(materializers, "_registered", [OddMaterializer()])
    folder = tmp_path / "files"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.txt").write_text("in a folder")
    nested = {"deep": [{"arrays": (np.arange(5000), np.arange(6000))}], "long": "x" * 9000}
    artifacts = [world.save(each) for each in (nested, folder, Odd())]
    artifacts.append(world.save([artifacts[0], "a reference in a value"]))
    bare = {name: store.put_blob(name.encode()) for name in ("series", "diff", "files", "preview")}
    inside = store.put_blob(b"named by a plan only")
    plan = store.put_blob(json.dumps({"steps": [{"code": inside}]}).encode())
    text = store.put_blob(b"in a text")
    run = world.run(
        "r",
        *artifacts,
        ended=95,
        metrics=[{"name": "loss", "series": bare["series"]}],
        git={"diff": {"digest": bare["diff"], "size": 1, "truncated": False}},
        observed={"files": {"$blob": bare["files"], "count": 1}},
        returns=artifacts[2].as_json()
        | {"preview": {"digest": bare["preview"], "size": 7, "kind": "text"}},
        request=json.dumps({"inputs": json.dumps({"x": text})}),
        plan=plan,
    )
    needed = sorted(path for path, _ in store.walk("blobs"))
    garbage = world.save("g" * 5000)
    report = world.collect_twice(100)
    assert sorted(path for path, _ in store.walk("blobs")) == needed
    assert not world.has(garbage)
    assert report.blobs == 1
    assert run in {f"runs/p/{name}" for name in world.runs()}


def test_digests_are_found_in_any_text():
    one, two = (bytes([number]) * 32 for number in (1, 2))
    inner = json.dumps({"digest": f"sha256:{two.hex()}"})
    text = json.dumps({"uri": f"s3://b/blobs/sha256/01/{one.hex()}", "text": inner})
    found = digests.find(text.encode())
    assert found.all == found.unknown == {one, two}
    leaf = Artifact(f"sha256:{one.hex()}", 10_000, "npy", "numpy", "numpy:ndarray").as_json()
    for separators in ((",", ":"), (", ", ": ")):
        found = digests.find(json.dumps(leaf, separators=separators).encode())
        assert (found.all, found.referring, found.unknown) == ({one}, set(), set())
    other = json.dumps(dict(reversed(leaf.items())))  # in another order: it is looked into
    assert digests.find(other.encode()).unknown == {one}


# ---------------------------------------------------------------- the cache


def test_cache_entries_go_with_the_runs_that_needed_them(any_world):
    world = any_world
    mine, used, shown = (world.save(letter * 5000) for letter in "abc")
    world.run("old", mine, used)
    world.run("new", used, ended=95, cache={"key": "2" * 64, "hit": True})
    gone = world.entry("1", mine)
    by_value, by_key = world.entry("3", used), world.entry("2", shown)
    world.store.write_once(f"cache/{'4' * 64}/1-0.json", b"{damaged")
    report = world.collect_twice(100)
    left = {path for path, _ in world.store.walk("cache")}
    assert left == {by_value, by_key}
    assert gone not in left
    assert [world.has(each) for each in (mine, used, shown)] == [False, True, True]
    assert report.unreadable == []


def test_an_entry_that_stays_keeps_all_that_it_refers_to(any_world):
    """A run that stays has the same value; only the entry has the series and the preview."""
    world, store = any_world, any_world.store
    value = world.save("v" * 5000)
    bare = {name: store.put_blob(name.encode()) for name in ("series", "preview")}
    preview = {"digest": bare["preview"], "size": 7, "kind": "text"}
    metric = {"name": "loss", "series": bare["series"]}
    world.run("new", value, ended=95)
    world.write(
        f"cache/{'1' * 64}/1-0.json",
        {"artifacts": {"a": value.as_json() | {"preview": preview}}, "metrics": [metric]},
    )
    world.collect_twice(200, keep=150)
    assert store.list(f"cache/{'1' * 64}") == ["1-0.json"]
    assert [store.read_blob(digest).decode() for digest in bare.values()] == list(bare)


def test_entries_without_values_go_by_their_age(world):
    """A step that returns nothing, with `cache=True`."""
    series = world.store.put_blob(b"series")
    world.write(f"cache/{'1' * 64}/1-0.json", {"returns": None, "metrics": [{"series": series}]})
    world.write(f"cache/{'2' * 64}/1-0.json", {"returns": None})
    world.run("new", ended=95, cache={"key": "2" * 64, "hit": True})
    assert world.collect_twice(80).entries == 0
    world.collect_twice(100)
    assert world.store.list("cache") == ["2" * 64]
    assert list(world.store.walk("blobs")) == []


def test_entries_that_are_young_keep_their_values(world):
    value = world.save("a" * 5000)
    world.entry("1", value)
    world.collect_twice(50)
    assert world.has(value)
    world.collect_twice(100)
    assert not world.has(value)


# ---------------------------------------------------------------- runs that are written meanwhile


def test_a_value_that_is_stored_again_between_the_calls_stays(any_world):
    world = any_world
    time.sleep(1.1 if world.store.url.startswith("s3") else 0.02)
    small, large = "s" * 5000, b"l" * 3_000_000
    for value in (small, large):
        world.save(value)
    world.collect(100)
    time.sleep(1.1 if world.store.url.startswith("s3") else 0.02)
    again = [world.save(value) for value in (small, large)]
    report = world.collect(101)
    assert (report.blobs, report.next_blobs) == (0, 2)
    assert all(world.has(each) for each in again)


def test_a_hit_in_the_cache_between_the_calls_keeps_its_value(any_world):
    world = any_world
    value = world.save("v" * 5000)
    world.run("old", value)
    entry = world.entry("1", value)
    held = json.loads(world.store.read(entry))["artifacts"]["a0"]  # a lookup, just before
    world.collect(100)
    assert world.store.list(f"cache/{'1' * 64}") == []
    world.run("hit", Artifact.from_json(held), ended=100)
    world.collect(101)
    assert world.has(value)


def test_a_value_of_an_attempt_that_runs_for_days_stays(world):
    world.run("long", ended=None)
    value = world.save("logged by `log_artifact`, in no record yet" * 200)
    report = world.collect_twice(10, keep=1)
    assert report.young_blobs == 1
    assert world.has(value)


def test_what_is_younger_than_a_day_stays(world):
    value = world.save("a" * 5000)
    for day in (0.4, 0.9):
        assert world.collect(day).young_blobs == 1
    assert world.has(value)
    assert world.collect(1.1).next_blobs == 1


def test_a_look_that_comes_too_late_brings_the_blob_back(world, tmp_path, monkeypatch):
    """A writer finds the blob, and sets its time, after the last look but before it is moved."""
    digest = world.store.put_blob(b"found by a writer")
    path = tmp_path / "store" / blob_name(digest)
    written = path.stat().st_mtime_ns
    rename = os.rename

    def rename_late(source, target):
        os.utime(source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_late)
    assert not world.store.remove_unchanged(blob_name(digest), written)
    assert world.store.read_blob(digest) == b"found by a writer"
    monkeypatch.setattr(os, "rename", rename)
    assert world.store.remove_unchanged(blob_name(digest), path.stat().st_mtime_ns)
    with pytest.raises(MissingBlob):
        world.store.read_blob(digest)
    assert not world.store.remove_unchanged(blob_name(digest), written)
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


WRITER = """
import random, sys, time
from levada import records, values
from levada.store import open_store
store, seed, seconds = open_store(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
chance, end, number = random.Random(seed), time.time() + seconds, 0
while time.time() < end:
    number += 1
    folder = records.run_path("p", f"{seed}-{number}")
    store.write_once(f"{folder}/run.json", records.document({"created": records.timestamp()}))
    held = {}
    for name in "abc":
        # of few contents, so that most are there already and nothing else refers to them
        text = str(chance.randrange(40)) * chance.choice((5000, 3_000_000))
        held[name] = values.save(text, store)
        time.sleep(chance.random() * 0.05)
    entries = {name: each.as_json() for name, each in held.items()}
    store.write_once(f"{folder}/s/1/record.json", records.document({"artifacts": entries}))
    for _ in range(3):
        for name, each in held.items():
            if not values.verify(each, store):
                sys.exit(f"lost {name} of {folder}")
        time.sleep(chance.random() * 0.05)
    store.write_once(f"{folder}/outcome.json", records.document({"finished": records.timestamp()}))
print(number)
"""
COLLECTOR = """
import sys
from levada.store import open_store
from levada_records.collect import Policy, collect
removed = 0
while True:
    policy = Policy(keep=0.2, grace=0.0, youngest=0.05)
    removed += collect(open_store(sys.argv[1]), policy).blobs
    print(removed, flush=True)
"""


def test_runs_lose_nothing_while_collectors_are_killed(tmp_path):
    """Writers store the same few values over and over; collectors remove them, and are killed."""
    url, seconds = str(tmp_path / "store"), 8.0
    open_store(url).prepare()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(seed), str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    chance, removed = random.Random(0), 0
    while any(writer.poll() is None for writer in writers):
        command = [sys.executable, "-c", COLLECTOR, url]
        collector = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(1.0 + chance.random())
        collector.send_signal(signal.SIGKILL)
        lines = collector.communicate()[0].split()
        removed += int(lines[-1]) if lines else 0
    for writer in writers:
        out, err = writer.communicate()
        assert writer.returncode == 0, err
        assert int(out) > 3
    assert removed > 20  # it was not idle


# ---------------------------------------------------------------- damage


def test_a_record_that_cannot_be_read_may_refer_to_anything(world, tmp_path):
    folder = world.run("r", ended=95)
    garbage = world.save("g" * 5000)
    world.store.write_once(f"{folder}/step/2/record.json", b'{"schema": "levada.rec')
    report = world.collect_twice(100)
    assert report.unreadable == [f"{folder}/step/2/record.json"]
    assert world.has(garbage)
    (tmp_path / "store" / folder / "step/2/record.json").unlink()
    world.collect_twice(110)
    assert not world.has(garbage)


def test_an_old_run_with_damaged_documents_goes(world):
    folder = world.run("r", world.save("x" * 5000))
    world.store.write_once(f"{folder}/step/2/record.json", b"\x00\xff")
    world.store.write_once("runs/p/odd/run.json", b"[]")
    world.store.write_once("runs/p/odd/outcome.json", b"")
    report = world.collect_twice(200)
    assert world.runs() == []
    assert report.unreadable == []


def test_a_run_whose_tags_cannot_be_read_stays(world):
    folder = world.run("r")
    world.store.write_once(f"{folder}/annotations/1.json", b"{")
    report = world.collect(200)
    assert world.runs() == ["r"]
    assert list(report.kept) == ["annotations/1.json cannot be read, and may say that it stays"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"schema": "levada.gc/2", "time": "2020-01-01T00:00:00Z", "blobs": 5}',
        b'{"schema": "levada.gc/1", "time": "yesterday", "blobs": []}',
        b'{"schema": "levada.gc/1", "time": "2020-01-01T00:00:00Z", "blobs": [1, ["x", 2]]}',
        b'{"schema": "levada.gc/1", "time": "2020-01-01T00:00:00Z"}',
    ],
)  # fmt: skip
def test_what_is_no_list_of_an_earlier_call_removes_nothing(content, world):
    world.store.write_once("gc/0.json", content)
    value = world.save("v" * 5000)
    report = world.collect(100)
    assert (report.blobs, report.next_blobs) == (0, 1)
    assert world.has(value)


def test_a_list_cannot_remove_what_is_referred_to_or_is_no_blob(world):
    value = world.save("v" * 5000)
    world.run("r", value, ended=95)
    written = {path: each for path, _, each in world.store.walk_times("")}
    listed = [[value.digest.removeprefix("sha256:"), written[blob_name(value.digest)]]]
    listed.append(["../../store.json".ljust(64, "0"), written["store.json"]])
    world.write("gc/0.json", {"schema": "levada.gc/1", "time": world.at(0), "blobs": listed})
    assert world.collect(100).blobs == 0
    assert world.has(value)


def test_what_is_not_of_levada_is_named_and_not_read(any_world, monkeypatch):
    world, store = any_world, any_world.store
    garbage = world.save("g" * 5000)
    store.write_once("exports/broken.json", b'{"digest": "sha256:')
    store.write_once("exports/table.csv", garbage.digest.encode())
    read = store.read

    def reading(path):
        assert not path.startswith("exports")
        return read(path)

    monkeypatch.setattr(store, "read", reading)
    report = world.collect_twice(100)
    assert (report.foreign, report.unreadable) == (["exports"], [])
    assert not world.has(garbage)
    assert len([path for path, _ in store.walk("exports")]) == 2


def test_documents_in_memory_are_bounded_by_their_size(world, monkeypatch):
    monkeypatch.setattr(reachable, "_BATCH_BYTES", 3000)
    sizes = [500] * 20 + [9000, 2000, 2000]
    for number, size in enumerate(sizes):
        document = {"note": "x" * size}
        world.write(f"models/{number:02}.json", document)
    batches: list[int] = []

    def in_parallel(function, items):
        found = [function(item) for item in items]
        batches.append(sum(map(len, found)))
        return found

    monkeypatch.setattr(reachable, "in_parallel", in_parallel)
    reachable.Reachable(world.store, lambda *_: None).add_documents(
        reachable.other_documents(world.store)
    )
    assert sum(batches) > sum(sizes)
    assert [each for each in batches if each > 3000] == [pytest.approx(9000, abs=100)]
    assert len(batches) < 10


def test_links_and_strange_files_are_left_alone(world, tmp_path):
    outside = tmp_path / "outside"
    (outside / "r").mkdir(parents=True)
    (outside / "r" / "run.json").write_text("{}")
    (outside / ("0" * 64)).write_text("precious")
    world.run("old")
    root = tmp_path / "store"
    (root / "runs" / "linked").symlink_to(outside)
    (root / "runs" / "p" / "linked").symlink_to(outside)
    (root / "blobs" / "sha256").mkdir(parents=True)
    (root / "blobs" / "sha256" / "00").symlink_to(outside)
    (root / "README").write_text("a note")
    (root / "blobs" / "notes.txt").write_text("mine")
    (root / "models").symlink_to(outside)
    world.collect_twice(200)
    assert sorted(path.name for path in outside.rglob("*")) == ["0" * 64, "r", "run.json"]
    assert (root / "README").exists()
    assert (root / "blobs" / "notes.txt").exists()
    assert world.runs() == []


def test_a_missing_tree_is_no_fault(world, tmp_path):
    tree = world.save({"a": "x" * 5000})
    world.run("r", tree, ended=95)
    (tmp_path / "store" / blob_name(tree.digest)).unlink()
    assert world.collect_twice(100).unreadable == []


def test_temporary_files_of_a_day_ago_go(world, tmp_path):
    world.store.prepare()
    (tmp_path / "store" / "tmp" / "left").write_text("x")
    assert world.collect(100).temporary == 1
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


# ---------------------------------------------------------------- the command


def test_the_command(tmp_path):
    store = open_store(str(tmp_path / ".levada"))
    store.put_blob(b"garbage")
    folder = records.run_path("p", "odd\x1b[2J")
    store.write_once(f"{folder}/run.json", records.document({"created": "2020-01-01T00:00:00Z"}))
    store.write_once(
        f"{folder}/outcome.json", records.document({"finished": "2020-01-01T00:00:01Z"})
    )
    store.write_once("exports/x.csv", b"1")
    (tmp_path / "pyproject.toml").touch()

    def levada(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "levada_cli.main", "gc", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    would = levada("--keep", "90d", "--dry-run")
    assert would.returncode == 0, would.stderr
    assert "would be removed: they ended more than 90 d ago" in would.stdout
    assert "p/odd<U+001B>[2J" in would.stdout
    assert "not Levada's, and left alone: exports\n" in would.stdout
    done = levada("--keep", "90d", "--json")
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert found["runs"]["count"] == 1
    assert found["too_young"]["count"] == 1
    wrong = levada("--keep", "soon")
    assert wrong.returncode == 2
    assert "`soon` is not a time; write 90d, 12h, 30m or 0s" in wrong.stderr
    missing = levada()
    assert missing.returncode == 2
    store.write_once("models/x.json", b"{")
    damaged = levada("--keep", "90d")
    assert damaged.returncode == 1
    assert "no blob is removed: these documents cannot be read" in damaged.stdout


# ---------------------------------------------------------------- the log of the index


def test_entries_that_a_segment_has_go(any_world):
    from levada_records.index import log_entries, segments

    world, store = any_world, any_world.store
    for number in range(8):
        world.run(f"r{number}", ended=95)
        index_log.write_removed(store, "p", f"r{number}")  # any entry will do
    names = log_entries.names_after(store, "")
    read = list(log_entries.read_rows(store, names[:6]))
    rows = [row for _, row in read]
    segments.write(store, 1, [], names[:6], rows)
    report = world.collect(100)
    assert report.log_entries == 6
    assert log_entries.names_after(store, "") == names[6:]
    assert world.collect(101).log_entries == 0
