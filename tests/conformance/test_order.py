"""The comparison of times with the order of the source finds what is wrong, and nothing else.

The times are those of real runs by the engine's interpreter, in each of which one thing is made
wrong: by a change of the recorded times, or of the plan that the engine follows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from levada.engine.interpreter import Interpreter
from levada.store import open_store
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import plan

from tests.conformance.order import Interval, Order
from tests.engine.in_process import InProcessExecutor

SOURCE = """
from levada import pipeline, step

@step
def items() -> list[int]: ...
@step
def work(x: int) -> int: ...
@step
def note(x: str) -> None: ...
@step
def total(xs: list[int]) -> int: ...

@pipeline
def effects():
    note("one")
    note("two")
    return items()

@pipeline
def mapped_finally():
    try:
        t = total([work(x) for x in items()])
    finally:
        note("closed")
    return t

@pipeline
def mapped_except():
    try:
        t = total([work(x + 2) for x in items()])
    except ValueError:
        t = total([])
    return t

@pipeline
def in_loop():
    for x in items():
        note(f"first {x}")
        note(f"second {x}")
"""
Times = dict[tuple[str, tuple[int, ...]], Interval]
FUNCTIONS: dict[str, Callable[..., object]] = {
    "items": lambda: [0, 1, 2],
    "note": lambda x: None,  # noqa: ARG005
    "total": sum,
}


def work(x: int) -> int:
    if x == 2:
        raise ValueError(x)
    return x


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("order")
    (folder / "pyproject.toml").touch()
    (folder / "flow.py").write_text(SOURCE)
    return str(folder / "flow.py")


class Ran:
    """A run of one of the pipelines, by its plan as ``change`` leaves it."""

    def __init__(self, module: str, pipeline: str, change: Callable[[Any], None]) -> None:
        program = compile_file(module, pipeline).program
        assert program is not None
        self.order = Order(program)
        made = copy.deepcopy(plan(program))
        change(made["body"])
        store = open_store(f"{module}.store")
        # Whatever was started last ends first, so that what is not held back overtakes.
        executor = InProcessExecutor(FUNCTIONS | {"work": work}, store, _last)
        Interpreter(made, {}, executor, store, max_parallel=8).run()
        self.times: Times = executor.times

    def violations(self) -> list[str]:
        return self.order.violations(self.times)


def _last(count: int) -> int:
    return count - 1


def unchanged(_: list[dict[str, Any]]) -> None:
    """Leave the plan as the compiler has made it."""


def without_order(body: list[dict[str, Any]]) -> None:
    """Drop the edges that are for the order alone."""
    for node in body:
        node["after"] = []
        for part in ("then", "otherwise", "body", "handler", "final"):
            without_order(node.get(part) or [])


def without_guards(body: list[dict[str, Any]]) -> None:
    """Let what is in a `try`, its handler and its `finally` stand beside each other."""
    for at, node in reversed(list(enumerate(body))):
        if node["kind"] == "guard":
            body[at : at + 1] = [*node["body"], *(node["handler"] or []), *node["final"]]
    without_order(body)


PIPELINES = ("effects", "mapped_finally", "mapped_except", "in_loop")


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_run_keeps_the_order(module: str, pipeline: str) -> None:
    ran = Ran(module, pipeline, unchanged)
    assert len(ran.times) > 2
    assert ran.violations() == []


@pytest.mark.parametrize(
    ("pipeline", "change", "early"),
    [
        ("effects", without_order, "note_2"),
        ("in_loop", without_order, "note_2"),
        ("mapped_finally", without_guards, "note"),
    ],
)
def test_a_plan_without_edges_is_reported(
    module: str, pipeline: str, change: Callable[[Any], None], early: str
) -> None:
    said = Ran(module, pipeline, change).violations()
    assert [each for each in said if each.startswith(f"('{early}'")], said


def test_a_finally_before_the_last_item_is_reported(module: str) -> None:
    ran = Ran(module, "mapped_finally", unchanged)
    over = max(end for (node, _), (_, end) in ran.times.items() if node == "work")
    ran.times["note", ()] = min(over, ran.times["work", (0,)][0]), over
    assert len(ran.violations()) >= 1


def test_an_except_before_the_last_item_is_reported(module: str) -> None:
    ran = Ran(module, "mapped_except", unchanged)
    (handler,) = [node for node, _ in ran.times if node.startswith("total")]
    last = max(key for key in ran.times if key[0] == "work")
    began, _ = ran.times[handler, ()]
    ran.times[last] = ran.times[last][0], f"{began}+"
    assert any(str(last) in each for each in ran.violations())


def test_effects_that_change_places_are_reported(module: str) -> None:
    ran = Ran(module, "effects", unchanged)
    one, two = ("note", ()), ("note_2", ())
    ran.times[one], ran.times[two] = ran.times[two], ran.times[one]
    assert any(each.startswith(str(two)) for each in ran.violations())


def test_items_at_the_same_time_are_fine(module: str) -> None:
    ran = Ran(module, "in_loop", unchanged)
    second = [key for key in ran.times if key[0] == "note_2"]
    assert len(second) == 3
    ran.times[second[0]] = ran.times[second[0]][0], "999"
    assert ran.violations() == []
