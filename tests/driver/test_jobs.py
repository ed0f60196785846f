"""The name of an attempt's Job, and the Job itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada.driver import jobs
from levada_backends.pods import names

RUNS = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,70}[a-z0-9])?", fullmatch=True)
NODES = st.from_regex(r"[A-Za-zé_][A-Za-zé0-9_]{0,80}(\.[a-z]{1,20})?", fullmatch=True)
INDEXES = st.lists(st.integers(0, 10**6), max_size=4).map(tuple)
KEYS = st.tuples(NODES, INDEXES, st.integers(1, 1000))


@given(RUNS, KEYS)
def test_any_attempt_has_a_name(run: str, key: jobs.Key) -> None:
    assert names.label_problem(jobs.name(run, "uid", key), jobs.NAME_LENGTH) == ""


@given(RUNS, KEYS, KEYS)
def test_two_attempts_have_two_names(run: str, one: jobs.Key, other: jobs.Key) -> None:
    assert (jobs.name(run, "uid", one) == jobs.name(run, "uid", other)) == (one == other)


def test_a_name_says_what_it_is_of() -> None:
    name = jobs.name("churn-29384756", "uid", ("train", (2, 0), 1))
    assert name.startswith("churn-29384756-train-2-0-1-")
    long = jobs.name("r" * 60, "uid", ("preprocess_customers", (), 2))
    assert "-preprocess-customers-2-" in long


def test_the_same_run_name_again_is_another_run() -> None:
    key = ("train", (), 1)
    assert jobs.name("run", "uid 1", key) != jobs.name("run", "uid 2", key)


TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "backoffLimit": 0,
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{}]}},
    },
}
OWNER = {"metadata": {"name": "run", "uid": "u-1"}}


@given(st.lists(st.tuples(st.just("train"), INDEXES, st.integers(1, 9)), min_size=1))
def test_a_job_of_several_says_which(keys: list[jobs.Key]) -> None:
    job = jobs.indexed(TEMPLATE, OWNER, "many", keys, "sha256:0")
    assert jobs.keys_of(job) == keys
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == len(keys)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][-2:] == ["stored", "sha256:0"]
    assert jobs.ITEMS not in job["spec"]["template"]["metadata"]["annotations"]


def test_a_job_says_what_people_call_its_item() -> None:
    one = jobs.manifest(TEMPLATE, OWNER, ("train", (2,), 1), "sha256:0", "depth=4")
    assert one["metadata"]["annotations"]["levada.dev/label"] == "depth=4"
    assert jobs.labels_of(one) == ["depth=4"]
    plain = jobs.manifest(TEMPLATE, OWNER, ("train", (), 1), "sha256:0")
    assert "levada.dev/label" not in plain["metadata"]["annotations"]
    assert jobs.labels_of(plain) == [""]


def test_a_job_of_several_says_what_people_call_them() -> None:
    keys = [("train", (i,), 1) for i in range(3)]
    labels = ["depth=4", "", "name=é"]
    job = jobs.indexed(TEMPLATE, OWNER, "many", keys, "sha256:0", labels)
    assert jobs.labels_of(job) == labels


def test_labels_that_are_too_long_for_an_annotation_are_left_out() -> None:
    keys = [("train", (i,), 1) for i in range(1000)]
    job = jobs.indexed(TEMPLATE, OWNER, "many", keys, "sha256:0", ["x" * 80] * 1000)
    assert jobs.LABELS not in job["metadata"]["annotations"]
    assert jobs.labels_of(job) == [""] * 1000


@pytest.mark.parametrize("text", ["no JSON", "[" * 100_000, '{"a": 1}', '["one"]', "[1, 2]"])
def test_labels_that_somebody_changed_are_none(text: str) -> None:
    keys = [("train", (0,), 1), ("train", (1,), 1)]
    job = jobs.indexed(TEMPLATE, OWNER, "many", keys, "sha256:0", ["a", "b"])
    job["metadata"]["annotations"][jobs.LABELS] = text
    assert jobs.labels_of(job) == ["", ""]


@given(KEYS)
def test_a_job_of_one_says_which(key: jobs.Key) -> None:
    assert jobs.keys_of(jobs.manifest(TEMPLATE, OWNER, key, "sha256:0")) == [key]


@given(RUNS, NODES, st.integers(1, 10**6))
def test_any_indexed_job_has_a_name(run: str, node: str, entry: int) -> None:
    name = jobs.indexed_name(run, "uid", node, entry)
    assert names.label_problem(name, jobs.NAME_LENGTH) == ""
    assert name != jobs.indexed_name(run, "uid", node, entry + 1)


INDEXED = {"completionMode": "Indexed"}
FAILED = [{"type": "Failed", "status": "True"}]


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        ({}, ["", "", "", ""]),
        ({"completedIndexes": "0,2"}, ["Complete", "", "Complete", ""]),
        ({"completedIndexes": "1-3"}, ["", "Complete", "Complete", "Complete"]),
        ({"completedIndexes": "0", "failedIndexes": "2-3"}, ["Complete", "", "Failed", "Failed"]),
        (
            {"completedIndexes": "0-2", "failedIndexes": "3", "conditions": FAILED},
            ["Complete", "Complete", "Complete", "Failed"],
        ),
    ],
)
def test_the_ends_of_several(status: dict[str, Any], ends: list[str]) -> None:
    job = {"spec": INDEXED, "status": status}
    assert [jobs.ended(job, place) for place in range(4)] == ends


def test_the_job_belongs_to_the_run_and_the_template_stays() -> None:
    job = jobs.manifest(TEMPLATE, OWNER, ("train", (3,), 2), "sha256:0")
    assert TEMPLATE["metadata"] == {"labels": {"a": "b"}}
    assert job["metadata"]["labels"] == {"a": "b", jobs.RUN: "u-1"}
    assert job["metadata"]["annotations"][jobs.MAP_INDEX] == "3"
    (reference,) = job["metadata"]["ownerReferences"]
    assert (reference["uid"], "blockOwnerDeletion" in reference) == ("u-1", False)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][-2:] == ["stored", "sha256:0"]
