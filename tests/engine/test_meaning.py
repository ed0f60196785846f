"""A plan means what the same pipeline means as plain Python."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada import expressions
from levada.engine.interpreter import Interpreter
from levada.store import open_store

from tests.engine.in_process import InProcessExecutor
from tests.engine.random_programs import Program, programs

PARAMETERS = {"x": 3, "xs": [0, 1, 2, 5]}
STORE = open_store(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


@dataclass
class Ran:
    """What a run came to; ``calls`` are the tags and arguments of the steps in order."""

    outputs: list[Any] | None
    error: str | None
    calls: list[tuple[int, str]]


def total(value: Any) -> int:
    return sum(map(total, value)) if isinstance(value, list) else value


def steps(program: Program, calls: list[tuple[int, str]]) -> Any:
    def s(tag: int, a: Any) -> int:
        calls.append((tag, repr(a)))
        if tag in program.failing:
            raise ValueError(f"step {tag}")
        return (tag + total(a)) % 5

    return s


def in_python(program: Program) -> Ran:
    calls: list[tuple[int, str]] = []
    names: dict[str, Any] = {"s": steps(program, calls)}
    exec(program.source, names)
    try:
        return Ran(names["pipeline"](**PARAMETERS), None, calls)
    except Exception as error:  # noqa: BLE001
        return Ran(None, str(error), calls)


def interpreted(program: Program, max_parallel: int, seed: int) -> Ran:
    calls: list[tuple[int, str]] = []
    random = Random(seed)
    executor = InProcessExecutor({"s": steps(program, calls)}, STORE, random.randrange)
    run = Interpreter(program.plan, PARAMETERS, executor, STORE, max_parallel=max_parallel)
    failure = run.run()
    if failure is not None:
        return Ran(None, failure.error["message"], calls)
    scope = expressions.Scope(PARAMETERS, run.nodes, STORE)
    outputs = [expressions.value(text, scope) for text in program.plan["result"]["values"]]
    return Ran(outputs, None, calls)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_one_at_a_time_is_plain_python(program: Program) -> None:
    """Outputs, the failure, and every call with its arguments, in the same order."""
    assert interpreted(program, 1, 0) == in_python(program)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(2, 5), st.integers(0, 1000))
def test_in_parallel_only_the_order_differs(program: Program, width: int, seed: int) -> None:
    expected = in_python(program)
    found = interpreted(program, width, seed)
    assert found.outputs == expected.outputs
    assert (found.error is None) == (expected.error is None)
    if expected.error is None:
        # What plain Python would not have reached after a failure may have been running already.
        assert set(expected.calls) <= set(found.calls)
        if not program.failing:
            missing = [call for call in found.calls if call not in expected.calls]
            assert missing == [] or "//" in program.source
