"""What a failure, a retry and a cancellation mean, in plans written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from levada.engine import Event, Interpreter, events
from levada.engine.interpreter import DeadlockError, backoff
from levada.engine.outcome import error_of, summarise
from levada.store import open_store

from tests.engine.in_process import InProcessExecutor

Node = dict[str, Any]


def call(name: str, *after: str, **settings: Any) -> Node:
    """A call of the function that the node is named after."""
    node = {"kind": "call", "id": name, "step": name, "inputs": {}, "settings": settings}
    return node | {"after": list(after)}


def guard(body: list[Node], handler: list[Node] | None, final: list[Node]) -> Node:
    parts = {"body": body, "handler": handler, "final": final, "after": []}
    return {"kind": "guard", "id": f"guard_{id(body)}"} | parts


def branch(condition: str, *then: Node) -> Node:
    parts = {"condition": condition, "then": list(then), "otherwise": [], "after": []}
    return {"kind": "branch", "id": "if_1"} | parts


class Ran:
    """A run of some nodes; functions whose name starts with ``bad`` raise."""

    def __init__(
        self,
        folder: Path,
        *nodes: Node,
        max_parallel: int = 1,
        choose: Callable[[int], int] = lambda _: 0,
        attend: Callable[[Interpreter], None] | None = None,
    ) -> None:
        self.events: list[Event] = []
        names = [name for node in nodes for name in calls_in(node)]
        plan = {"pipeline": "p", "body": list(nodes)}
        plan["steps"] = {name: {"function": name} for name in names}
        store = open_store(str(folder / "store"))
        functions = {name: function(name) for name in names}
        self.executor = InProcessExecutor(functions, store, choose)
        self.run = Interpreter(
            plan,
            {},
            self.executor,
            store,
            max_parallel=max_parallel,
            on_event=self.events.append,
            attend=attend,
        )
        self.failure = self.run.run()
        self.started = [f"{name}/{n}" if n > 1 else name for name, _, n in self.executor.trace]

    def failed_events(self) -> list[tuple[str | None, int | None]]:
        return [(e.node, e.attempt) for e in self.events if e.kind == events.NODE_FAILED]

    def attempts(self) -> dict[str, int]:
        return {step.node: step.attempts for step in summarise(self.run.nodes.calls(), [])} | {
            name: 0 for name, *_ in self.run.skipped
        }


def function(name: str) -> Callable[[], str]:
    def work() -> str:
        if name.startswith("bad"):
            error = ValueError(name)
            error.permanent = name.endswith("forever")  # type: ignore[attr-defined]
            raise error
        return name

    return work


def calls_in(node: Node) -> list[str]:
    if node["kind"] == "call":
        return [node["id"]]
    slots = ("then", "otherwise", "body", "handler", "final")
    return [name for slot in slots for inner in node.get(slot) or () for name in calls_in(inner)]


def test_a_failure_in_a_handler_keeps_what_it_handled(tmp_path: Path) -> None:
    ran = Ran(tmp_path, guard([call("bad")], [call("bad_handler")], [call("close")]))
    assert ran.started == ["bad", "bad_handler", "close"]
    assert ran.failure is not None
    error = error_of(ran.failure)
    assert (error["node"], error["context"]["node"]) == ("bad_handler", "bad")


def test_a_failure_in_final_keeps_the_whole_chain(tmp_path: Path) -> None:
    ran = Ran(tmp_path, guard([call("bad")], [call("bad_handler")], [call("bad_final")]))
    assert ran.failure is not None
    error = error_of(ran.failure)
    chain = [error["node"], error["context"]["node"], error["context"]["context"]["node"]]
    assert chain == ["bad_final", "bad_handler", "bad"]


def test_finals_run_from_the_inside_out(tmp_path: Path) -> None:
    inner = guard([call("bad")], None, [call("close_inner")])
    ran = Ran(tmp_path, guard([inner, call("next")], None, [call("close_outer")]), call("after"))
    assert ran.started == ["bad", "close_inner", "close_outer"]


def test_a_condition_that_fails_is_handled(tmp_path: Path) -> None:
    body = [branch("1 // 0", call("taken"))]
    ran = Ran(tmp_path, guard(body, [call("mend")], []), call("after"))
    assert ran.failure is None
    assert ran.started == ["mend", "after"]


def test_a_guard_that_was_not_entered_has_no_final(tmp_path: Path) -> None:
    ran = Ran(tmp_path, call("bad"), guard([call("work")], None, [call("close")]))
    assert ran.started == ["bad"]


def test_a_guard_that_was_entered_closes_after_a_failure_elsewhere(tmp_path: Path) -> None:
    body = [call("work"), call("more", "work")]
    nodes = [call("bad"), guard(body, [call("mend")], [call("close")]), call("after")]
    ran = Ran(tmp_path, *nodes, max_parallel=2)
    assert ran.started == ["bad", "work", "close"]


@pytest.mark.parametrize("last", [0, -1])
def test_the_failure_that_counts_is_the_first_in_the_source(tmp_path: Path, last: int) -> None:
    choose = (lambda _: 0) if last == 0 else (lambda count: count - 1)
    ran = Ran(tmp_path, call("bad_1"), call("bad_2"), max_parallel=2, choose=choose)
    assert ran.failure is not None
    assert ran.failure.node == "bad_1"


def test_retries_and_permanent_errors(tmp_path: Path) -> None:
    ran = Ran(tmp_path, call("bad", retry={"count": 2, "delay": 0}))
    assert ran.started == ["bad", "bad/2", "bad/3"]
    ran = Ran(tmp_path, call("bad_forever", retry={"count": 2, "delay": 0}))
    assert ran.started == ["bad_forever"]


def test_no_retry_is_waited_for_after_a_failure(tmp_path: Path) -> None:
    patient = call("bad_patient", retry={"count": 1, "delay": 3600})
    ran = Ran(tmp_path, patient, call("bad"), max_parallel=2)
    assert ran.started == ["bad_patient", "bad"]
    assert ran.failure is not None
    assert ran.failure.node == "bad"
    assert ran.failed_events() == [("bad", 1), ("bad_patient", 1)]
    assert ran.attempts() == {"bad_patient": 1, "bad": 1}


@pytest.mark.parametrize("last", [0, -1])
def test_an_attempt_that_could_be_retried_is_not_why_the_run_failed(
    tmp_path: Path, last: int
) -> None:
    choose = (lambda _: 0) if last == 0 else (lambda count: count - 1)
    patient = call("bad_patient", retry={"count": 5, "delay": 3600})
    nodes = [guard([patient], None, [call("close")]), call("bad_forever"), call("bad_too")]
    ran = Ran(tmp_path, *nodes, max_parallel=3, choose=choose)
    assert ran.failure is not None
    assert ran.failure.node == "bad_forever"
    assert ran.attempts()["bad_patient"] == 1


def test_the_last_attempt_of_a_retried_call_is_why_the_run_failed(tmp_path: Path) -> None:
    nodes = [call("bad_1", retry={"count": 1, "delay": 0}), call("bad_2", "bad_1")]
    ran = Ran(tmp_path, *nodes)
    assert ran.failure is not None
    assert (ran.failure.node, ran.failure.gave_up) == ("bad_1", False)
    assert ran.attempts() == {"bad_1": 2, "bad_2": 0}


def test_in_a_guard_what_comes_before_a_failure_is_retried(tmp_path: Path) -> None:
    handler = call("mend")
    body = [loop(None, "bad_retried"), call("bad_last")]
    body[0]["body"][1]["settings"] = {"retry": {"count": 1, "delay": 0.01}}
    ran = Ran(tmp_path, guard(body, [handler], []), max_parallel=9)
    # The first iteration is retried for certain, the others only if it has not failed before.
    assert ran.failure is None
    assert ran.started.count("bad_retried/2") >= 1
    assert ran.run.nodes.error(["bad_retried", "bad_last"], {})["message"] == "bad_retried"


def test_a_cancelled_run_does_not_name_what_it_would_have_retried(tmp_path: Path) -> None:
    def attend(run: Interpreter) -> None:
        run.cancel("SIGINT")

    ran = Ran(tmp_path, call("bad", retry={"count": 1, "delay": 3600}), attend=attend)
    assert ran.failure is not None
    assert ran.failure.gave_up


def test_a_cancelled_run_closes_what_it_entered(tmp_path: Path) -> None:
    def attend(run: Interpreter) -> None:
        if run.cancelled is None:
            run.cancel("SIGINT")

    nodes = [guard([call("a"), call("b")], [call("mend")], [call("close")]), call("after")]
    ran = Ran(tmp_path, *nodes, attend=attend)
    assert ran.started == ["a", "close"]
    assert ran.run.cancelled == "SIGINT"


def test_a_killed_run_closes_nothing(tmp_path: Path) -> None:
    def attend(run: Interpreter) -> None:
        run.cancel("SIGINT", force=True)

    ran = Ran(tmp_path, guard([call("a"), call("b")], None, [call("close")]), attend=attend)
    assert ran.started == ["a"]


def test_what_is_not_run_is_told(tmp_path: Path) -> None:
    nested = branch("False", call("x"), guard([call("y")], None, []))
    ran = Ran(tmp_path, nested, call("bad"), call("z"))
    skipped = [event.node for event in ran.events if event.kind == "node-skipped"]
    assert skipped == ["x", "y", "z"]


def test_a_plan_that_waits_for_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeadlockError):
        Ran(tmp_path, call("a", "b"), call("b", "a"))


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        ({"delay": 1, "backoff": 2}, [1, 2, 4]),
        ({"delay": 1, "backoff": 2, "max_delay": 3}, [1, 2, 3]),
        ({"delay": 5}, [5, 5, 5]),
        ({}, [0, 0, 0]),
    ],
)
def test_backoff(retry: dict[str, Any], delays: list[float]) -> None:
    assert [backoff(retry, failed) for failed in (1, 2, 3)] == delays


def test_backoff_does_not_overflow() -> None:
    assert backoff({"delay": 1, "backoff": 10}, 100_000) > 0


@pytest.mark.parametrize(
    ("limit", "iterations"),
    [(1, [0, 0, 1, 1, 2, 2]), (2, [0, 1, 1, 2, 2, 0])],
)
def test_a_loop_lets_so_many_iterations_run_at_a_time(
    tmp_path: Path, limit: int, iterations: list[int]
) -> None:
    """What was started last ends first, and ends its iteration: then the next one starts."""
    ran = Ran(tmp_path, loop(limit), max_parallel=9, choose=lambda count: count - 1)
    assert [index for _, (index,), _ in ran.executor.trace] == iterations


def test_no_iteration_starts_after_one_that_failed(tmp_path: Path) -> None:
    ran = Ran(tmp_path, guard([loop(1, "bad")], [call("mend")], []), max_parallel=9)
    assert ran.started == ["work", "bad", "mend"]


def loop(limit: int | None, last: str = "more") -> Node:
    """A loop of three iterations with two calls, so many iterations at a time."""
    node = {"kind": "loop", "id": "for_1", "target": "i", "items": "range(3)", "where": []}
    body = [call("work"), call(last, "work")]
    return node | {"max_parallel": limit, "body": body, "after": []}
