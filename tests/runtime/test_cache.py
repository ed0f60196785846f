"""Why a step ran again: the parts of its key beside those of the run before."""

from __future__ import annotations

from copy import deepcopy

import pytest
from levada import cache, observations, records
from levada.store import Store, digest_of, open_store

TIME = "2026-01-01T00:00:00.000000Z"
BEFORE = {
    "schema": records.RECORD_SCHEMA,
    "pipeline": "p",
    "run_id": "20260101-000000-a",
    "node": "train",
    "map_index": [1],
    "attempt": 1,
    "step": "m:f",
    "status": "succeeded",
    "started": TIME,
    "finished": TIME,
    "seconds": 0.0,
    "code": {"digest": digest_of(b"1"), "file": "m.py", "line": 1},
    "environment": {
        "digest": digest_of(b"2"),
        "python": "3.11.7",
        "implementation": "CPython",
        "platform": "linux",
        "packages": {"pandas": "3.0", "old": "1"},
        "image": None,
    },
    "git": None,
    "parameters": {},
    "inputs": {},
    "returns": None,
    "outputs": {},
    "metrics": [],
    "params": {},
    "artifacts": {},
    "resources": {},
    "cache": {
        "key": "0" * 64,
        "hit": False,
        "from": None,
        "reasons": [],
        "parts": {
            "step": "m:f",
            "code": "sha256:1",
            "environment": "sha256:2",
            "inputs": {"x": "sha256:3", "y": "sha256:4"},
            "outputs": [],
        },
    },
    "error": None,
    "engine": {"name": "local"},
    "allow_pickle": [],
    "warnings": [],
}


@pytest.fixture
def store(tmp_path) -> Store:
    store = open_store(str(tmp_path))
    records.write_record(store, BEFORE)
    return store


def explained(store: Store, **changes: object) -> list[str]:
    after = deepcopy(BEFORE) | {"run_id": "20260102-000000-b"}
    for path, value in changes.items():
        holder: dict = after
        *parents, last = path.split("__")
        for parent in parents:
            holder = holder[parent]
        holder[last] = value
    return [reason["text"] for reason in cache.explain(after, store)]


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        (
            {"cache__parts__code": "sha256:9"},
            ["the code of the step, of what it reaches, or one of its files changed"],
        ),
        (
            {"cache__parts__inputs": {"x": "sha256:9", "z": "sha256:4"}},
            ["input x changed", "input y changed", "input z changed"],
        ),
        (
            {
                "cache__parts__environment": "sha256:9",
                "environment": {"python": "3.12.1", "packages": {"pandas": "3.1", "new": "1"}},
            },
            [
                "environment: Python 3.11 -> 3.12",
                "environment: new not there -> 1",
                "environment: old 1 -> not there",
                "environment: pandas 3.0 -> 3.1",
            ],
        ),
        (
            {"cache__parts__variables": "sha256:5"},
            ["the environment variables of the step changed"],
        ),
        ({"map_index": [2]}, ["there is no earlier run of this node"]),
        ({}, ["the cache has no entry for it any more"]),
    ],
)
def test_what_changed(store, changes, texts):
    assert explained(store, **changes) == texts


def test_the_nearest_run_is_compared(store):
    nearer = deepcopy(BEFORE) | {"run_id": "20260101-120000-b", "status": "failed"}
    records.write_record(store, nearer)
    assert explained(store) == ["the run before (20260101-120000-b) did not succeed"]


def test_a_file_of_the_project_may_have_the_name_of_the_blob_of_many_files(tmp_path, store):
    def changes() -> list[str]:
        reasons = observations.changes(
            observations.nothing() | {"files": {"$blob": state}},
            observations.Places(str(tmp_path)),
            store,
            key="",
            environment={},
            known_variables=(),
            class_digest=str,
        )
        return [reason["text"] for reason in reasons]

    state = None  # it was not there
    assert changes() == []
    (tmp_path / "$blob").write_text("1")
    assert len(changes()) == 1


@pytest.mark.parametrize("pattern", ["** /**/*.csv", "** /proc/**/status"])
def test_what_a_pattern_finds_on_the_whole_machine_is_never_the_same(tmp_path, store, pattern):
    reasons = observations.changes(
        observations.nothing() | {"patterns": {pattern: ""}},
        observations.Places(str(tmp_path)),
        store,
        key="",
        environment={},
        known_variables=(),
        class_digest=str,
    )
    assert [reason["part"] for reason in reasons] == ["patterns"]
