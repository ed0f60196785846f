"""What a run that tries another one again takes from it, and what it says of damage there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from levada import runner
from levada.engine import Outcome, earlier
from levada.engine.events import node_label
from levada.request import StepRequest
from levada.store import open_store

from tests.engine.project import Project
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


# ---------------------------------------------------------------- runs of the local engine

SOURCE = """
@step
def load(n: int) -> list[int]:
    print("loaded")
    return list(range(n))

@step
def fit(x: int, scale: int) -> int:
    if x == 1 and not Path("{folder}/mended").exists():
        raise ValueError("not mended")
    return x * scale

@step(cache=False)
def check(x: int) -> int:
    return x

@step
def total(parts: list[int]) -> int:
    return sum(parts)

@step
def other(n: int) -> int:
    return n

@pipeline
def main(n: int = 3, scale: int = 10):
    parts = [check(fit(x, scale)) for x in load(n)]
    return total(parts), other(n)
"""


def ran(outcome: Outcome) -> list[str]:
    """The calls that were not taken from anywhere."""
    steps = (each for each in outcome.steps if not each.cached and each.attempts)
    return sorted(node_label(each.node, each.map_index) for each in steps)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, SOURCE.replace("{folder}", str(tmp_path)))


def test_what_failed_is_run_again_and_nothing_else(project: Project) -> None:
    first = project.run(cache=False)
    assert first.status == "failed"
    project.file("mended").touch()
    before = earlier.EarlierRun(first.run_id, project.plan())
    again = project.run(earlier=before, cache=False)
    assert again.status == "succeeded"
    assert "load" not in ran(again)
    assert "other" not in ran(again)
    assert "fit[1]" in ran(again)
    taken = project.record(again, "load")
    assert taken["cache"]["from"]["run_id"] == first.run_id


def test_a_call_with_other_inputs_is_run(project: Project) -> None:
    project.file("mended").touch()
    first = project.run(cache=False)
    before = earlier.EarlierRun(first.run_id, project.plan())
    again = project.run({"scale": 20}, earlier=before, cache=False)
    assert ran(again) == sorted([*(f"fit[{i}]" for i in range(3)), "check[1]", "check[2]", "total"])


@pytest.mark.parametrize(
    ("first", "index", "expected"),
    [
        ("other", (), ["other"]),
        ("total", (), ["total"]),
        ("check", (), ["check[0]", "check[1]", "check[2]", "total"]),
        ("fit", (1,), ["check[1]", "fit[1]", "total"]),
    ],
)
def test_from_a_step_it_and_what_depends_on_it_is_run(
    project: Project, first: str, index: tuple[int, ...], expected: list[str]
) -> None:
    project.file("mended").touch()
    done = project.run()
    before = earlier.EarlierRun(done.run_id, project.plan(), first, index)
    assert ran(project.run(earlier=before)) == expected


@pytest.mark.parametrize(("first", "index"), [("fitt", ()), ("total", (1,)), ("fit", (1, 2))])
def test_a_step_that_is_not_there_is_refused(
    project: Project, first: str, index: tuple[int, ...]
) -> None:
    with pytest.raises(LookupError):
        earlier.EarlierRun("before", project.plan(), first, index)


def test_trees_of_parameters_count_where_none_is_given(project: Project) -> None:
    project.file("mended").touch()
    outcome = project.run({"scale": 2}, trees={"n": 2, "scale": 3})
    run = json.loads((Path(project.store) / outcome.folder / "run.json").read_text())
    assert run["parameters"]["trees"] == {"n": 2, "scale": 2}
    assert list(run["parameters"]["trees"]) == ["n", "scale"]
