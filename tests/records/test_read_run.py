"""`levada_records.runs` reads what runs left in a store, whatever became of it since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from levada import metric_series, records
from levada.store import Store
from levada_records.runs import MissingRun, MissingStep, Run, read_run
from levada_records.steps import parse_step

from tests.records.recorded_project import Recorded, copied

STEPS = [
    *("load", "fit[0]", "fit[1]", "best", "publish.report", "dump", "table", "letter", "odd"),
    "check_2",
]


def good(recorded: Recorded) -> Run:
    return read_run(recorded.store, "main", recorded.good)


def labels(run: Run) -> list[str]:
    return [step.label for step in run.steps]


def test_a_run_that_succeeded(recorded: Recorded) -> None:
    run = good(recorded)
    assert (run.status, run.is_running, run.problems, run.error) == ("succeeded", False, [], None)
    assert run.params == {"rows": 4, "rates": [0.1, 0.2], "depth": 2, "limit": 7}
    assert labels(run) == [*STEPS, "check"]
    returned = run.outputs()
    assert isinstance(returned, list)
    assert returned[0] == 7
    assert run.started is not None
    assert run.finished is not None
    assert run.started < run.finished
    assert run.step("check").status == "skipped"
    assert run.plan is not None
    assert run.plan["pipeline"] == "main"


def test_a_step_of_a_loop(recorded: Recorded) -> None:
    fit = good(recorded).step("fit", 1)
    assert (fit.status, fit.is_cached, fit.attempt_count) == ("succeeded", False, 1)
    assert {name: each["value"] for name, each in fit.metrics.items()} == {"loss": 0.08, "rows": 4}
    assert fit.metrics["loss"]["count"] == 5
    series = fit.series("loss")
    assert series is not None
    assert series["value"] == [0.4, 0.2, pytest.approx(0.4 / 3), 0.1, 0.08]
    assert series["step"] == [0, 1, 2, 3, 4]
    rows = fit.series("rows")
    assert rows is not None
    assert rows["value"] == [4]
    assert fit.series("accuracy") is None


def test_the_log_of_a_step(recorded: Recorded) -> None:
    load = good(recorded).step("load")
    assert b"".join(load.log()) == b"loading 4 rows\n"
    with pytest.raises(MissingStep, match="load has no attempt 3; it has 1"):
        load.log(3)


def test_a_run_that_took_earlier_results(recorded: Recorded) -> None:
    run = read_run(recorded.store, "main", recorded.again)
    assert run.step("best").is_cached
    assert run.step("fit", 0).series("loss") == good(recorded).step("fit", 0).series("loss")


def test_a_run_that_failed(recorded: Recorded) -> None:
    run = read_run(recorded.store, "main", recorded.bad)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["node"] == "check_2"
    step = run.step("check_2")
    assert (step.status, step.attempt_count) == ("failed", 2)
    assert step.record is not None
    assert step.record["attempt"] == 2
    assert run.outputs() is None


def test_the_order_is_that_of_the_source(mine: Recorded) -> None:
    """Without an outcome, steps are in the order of the plan."""
    mine.store.delete(f"{good(mine).folder}/outcome.json")
    assert labels(good(mine)) == STEPS


def test_the_last_outcome_counts(mine: Recorded) -> None:
    """A run that is started over has several."""
    path = f"{good(mine).folder}/outcome"
    ended = json.loads(mine.store.read(f"{path}.json"))
    for number, status in ((2, "cancelled"), (10, "failed")):
        mine.store.write_once(f"{path}.{number}.json", records.document(ended | {"status": status}))
    assert good(mine).status == "failed"


def test_a_bucket_is_listed_once_and_read_once(
    in_folder: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = copied(in_folder, "memory://tests/read-run")
    asked: list[str] = []
    for name in ("read", "list", "walk"):
        method = getattr(recorded.store, name)

        def noted(path: str, method: Any = method, name: str = name) -> Any:
            asked.append(f"{name} {path}")
            return method(path)

        monkeypatch.setattr(recorded.store, name, noted)
    run = good(recorded)
    assert [each.split()[0] for each in asked] == ["read"]
    _ = run.steps, run.status, run.problems, run.outcome, run.steps
    assert len(asked) == len(set(asked)) == 2 + 10 + 1
    assert [each for each in asked if not each.startswith("read")] == [f"walk {run.folder}"]


# ------------------------------------------------------------------ what runs, and what never ended


@pytest.fixture
def running(mine: Recorded) -> Run:
    """A run that is at its last step, which has logged three values."""
    folder = good(mine).folder
    mine.store.delete(f"{folder}/outcome.json")
    mine.store.delete(f"{folder}/check_2/1/record.json")
    lines = "".join(f'["loss", {value}, null, "t"]\n' for value in (3.0, 2.0, 1.0))
    local = mine.store.local_path(f"{folder}/check_2/1/{metric_series.FILE}")
    assert local is not None
    Path(local).write_text(f'5\n[[], 1, 2, 3]\n{lines}["loss", 0.', encoding="utf-8")
    return good(mine)


def test_a_run_without_an_outcome_runs(running: Run) -> None:
    assert (running.status, running.is_running, running.finished) == ("running", True, None)
    step = running.step("check_2")
    assert (step.status, step.seconds, step.problem) == ("running", None, "")


def test_the_metrics_of_a_step_that_runs(running: Run) -> None:
    """What is damaged or cut short in the file is left out."""
    step = running.step("check_2")
    assert step.metrics["loss"]["value"] == 1.0
    series = step.series("loss")
    assert series is not None
    assert series["value"] == [3.0, 2.0, 1.0]


def test_an_attempt_without_a_record_in_a_run_that_is_over(mine: Recorded) -> None:
    folder = good(mine).folder
    mine.store.delete(f"{folder}/check_2/1/record.json")
    ended = json.loads(mine.store.read(f"{folder}/outcome.json")) | {
        "steps": [],
        "status": "failed",
    }
    mine.store.write_once(f"{folder}/outcome.2.json", records.document(ended))
    step = good(mine).step("check_2")
    assert (step.status, step.problem) == ("failed", "its last attempt ended without a record")


# ------------------------------------------------------------------ what is damaged, newer or gone


def damage(store: Store, path: str, data: bytes) -> None:
    store.delete(path)
    store.write_once(path, data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is damaged: it is no JSON object"),
        (b"[1, 2]", "is damaged: it is no JSON object"),
        (b"[" * 100_000, "is damaged: it is no JSON object"),
        (b'{"schema": "levada.record/1"}', "is damaged: it does not fit levada.record/1"),
        (
            b'{"schema": "levada.record/9"}',
            "cannot be read by this version of Levada: it is levada.record/9",
        ),
    ],
)
def test_a_record_that_cannot_be_read_hides_nothing(mine: Recorded, data: bytes, said: str) -> None:
    path = f"{good(mine).folder}/fit/[0]/1/record.json"
    damage(mine.store, path, data)
    run = good(mine)
    assert run.problems == [f"{path} {said}"]
    assert labels(run) == [*STEPS, "check"]
    step = run.step("fit", 0)
    assert (step.record, step.metrics, step.seconds) == (None, {}, pytest.approx(0.1, abs=5))
    assert step.problem == f"{path} {said}"
    assert step.status == "succeeded"  # as the outcome says


def test_the_record_of_another_attempt_is_not_taken(mine: Recorded) -> None:
    folder = good(mine).folder
    path = f"{folder}/fit/[0]/1/record.json"
    damage(mine.store, path, mine.store.read(f"{folder}/fit/[1]/1/record.json"))
    assert good(mine).problems == [f"{path} is damaged: it is the record of another attempt"]


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema": "levada.run/7", "created": 5}'])
def test_a_run_json_that_cannot_be_read(mine: Recorded, data: bytes) -> None:
    path = f"{good(mine).folder}/run.json"
    damage(mine.store, path, data)
    run = good(mine)
    assert (run.status, run.params, run.started) == ("damaged", {}, None)
    assert run.problems[0].startswith(path)
    assert labels(run) == [*STEPS, "check"]


def test_a_run_json_that_is_missing(mine: Recorded) -> None:
    path = f"{good(mine).folder}/run.json"
    mine.store.delete(path)
    assert good(mine).problems == [f"{path} is missing"]


def test_an_outcome_that_cannot_be_read(mine: Recorded) -> None:
    path = f"{good(mine).folder}/outcome.json"
    damage(mine.store, path, b"{")
    run = good(mine)
    assert (run.status, run.is_running) == ("damaged", False)
    assert labels(run) == STEPS


def test_a_plan_and_series_that_are_gone(mine: Recorded) -> None:
    for path, _ in list(mine.store.walk("blobs")):
        mine.store.delete(path)
    run = good(mine)
    assert run.plan is None
    assert run.step("fit", 0).series("loss") is None


def test_other_files_in_the_folder_of_a_run(mine: Recorded) -> None:
    folder = good(mine).folder
    for path in ("x", "fit/[a]/1/record.json", "%ZZ/1/record.json", "fit/x/y/z", "outcome.x.json"):
        mine.store.write_once(f"{folder}/{path}", b"?")
    assert labels(good(mine)) == [*STEPS, "check"]
    assert good(mine).problems == []


def test_tags_and_notes(mine: Recorded) -> None:
    folder = good(mine).folder
    documents: list[tuple[str, Any]] = [
        ("2", {"time": "2", "tags": {"b": "2", "a": None}, "note": "second"}),
        ("1", {"time": "1", "tags": {"a": "1", "c": 5}, "note": "first"}),
        ("3", {"time": "3", "tags": {}, "note": None}),
        ("4", {"time": "4", "tags": [1]}),
    ]
    for name, document in documents:
        mine.store.write_once(f"{folder}/annotations/{name}.json", json.dumps(document).encode())
    run = good(mine)
    assert (run.tags, run.note) == ({"b": "2"}, "second")
    assert run.problems == [f"{folder}/annotations/4.json is damaged: it is no annotation"]


def test_a_run_that_is_not_there(in_folder: Recorded) -> None:
    with pytest.raises(MissingRun, match="has no run 7 of main"):
        read_run(in_folder.store, "main", "7")


@pytest.mark.parametrize(
    ("node", "index", "said"),
    [
        ("train", None, "has no step train; it has best, check, check_2, dump, fit, letter"),
        ("fit", None, r"has no step fit; it has fit\[0\] to fit\[1\]"),
        ("fit", 7, r"has no step fit\[7\]; it has fit\[0\] to fit\[1\]"),
        ("best", 0, r"has no step best\[0\]; it has best$"),
    ],
)
def test_a_step_that_is_not_there(
    in_folder: Recorded, node: str, index: int | None, said: str
) -> None:
    with pytest.raises(MissingStep, match=said):
        good(in_folder).step(node, index)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("fit", ("fit", ())),
        ("sub.fit[0.3]", ("sub.fit", (0, 3))),
        ("fit[0, 3]", ("fit", (0, 3))),
    ],
)
def test_steps_as_people_write_them(text: str, place: tuple[str, tuple[int, ...]]) -> None:
    assert parse_step(text) == place


@pytest.mark.parametrize("text", ["fit[", "fit[]", "fit[a]", "fit[1]x", "fit[-1]"])
def test_what_is_no_step(text: str) -> None:
    with pytest.raises(ValueError, match="is not a step; write one as `fit`, or"):
        parse_step(text)
