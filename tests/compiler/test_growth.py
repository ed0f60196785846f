"""A program of twice the size takes twice the work, and its files twice the room.

Work is counted in executed lines, not in seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from levada_backends.airflow import TARGET
from levada_backends.kubeflow import TARGET as KUBEFLOW
from levada_backends.kubernetes import TARGET as KUBERNETES
from levada_compiler.compilation import compile_file
from levada_compiler.program.ir import Output, Program, walk
from levada_compiler.program.plan import plan
from levada_compiler.target import Target

SMALL, LARGE = 25, 75

HEADER = "from levada import pipeline, step\n\nHANDLERS = {}\n\n"
STEP = "@step\ndef step_{n}(x: int) -> int:\n    return x + 1\n\n"
CALL = "    x = step_{n}(x)\n"


def module(size: int, definition: str, call: str, start: str = "", end: str = "x") -> str:
    """``size`` steps, each defined and called as told."""
    definitions = "".join(definition.format(n=n) for n in range(size))
    calls = "".join(call.format(n=n) for n in range(size))
    return (
        f"{HEADER}{definitions}@pipeline\ndef chain(x: int = 0):\n{start}{calls}    return {end}\n"
    )


SHAPES = {
    "steps in a chain": lambda size: module(size, STEP, CALL),
    "steps with helpers": lambda size: module(
        size, "def help_{n}(x):\n    return x\n\n" + STEP.replace("x + 1", "help_{n}(x)"), CALL
    ),
    "handlers that are registered": lambda size: module(
        size, "def handle_{n}(x):\n    return x\n\nHANDLERS[{n}] = handle_{n}\n\n" + STEP, CALL
    ),
    "steps beside each other": lambda size: module(
        size, STEP, "    y_{n} = step_{n}(x)\n    z = step_{n}(y_{n})\n", end="z"
    ),
    "branches": lambda size: module(size, STEP, "    if x > {n}:\n        step_{n}(x)\n"),
    "loops": lambda size: module(
        size, STEP, "    y_{n} = [step_{n}(i) for i in range(x)]\n", end="y_0"
    ),
    "an accumulator": lambda size: module(
        size, STEP, "    out.append(step_{n}(x))\n", start="    out = []\n", end="out"
    ),
}


def lines_of(action: Callable[[], object]) -> int:
    """How many lines of Python the action executes."""
    count = 0

    def trace(_frame: object, event: str, _argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_as_the_program_does(shape: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()

    def work(size: int) -> dict[str, int]:
        path = tmp_path / f"chain_{size}.py"
        path.write_text(SHAPES[shape](size))
        program = compile_file(str(path)).program
        assert program is not None
        options = {"compiler": "0"}
        return {
            "compile": lines_of(lambda: compile_file(str(path))),
            "plan": lines_of(lambda: plan(program)),
            "check": lines_of(lambda: TARGET.check(program, options)),
            "emit": lines_of(lambda: TARGET.emit(program, options)),
        }

    small, large = work(SMALL), work(LARGE)
    growth = {part: large[part] / small[part] * SMALL / LARGE for part in small}
    assert {part: round(by, 2) for part, by in growth.items() if by > 1.1} == {}


CARRIED = """
from levada import pipeline, step


@step
def train(x: int) -> int:
    return x + 1


@pipeline
def carried(n: int = 0):
    state, best = train(n), 0
    for k in range({rounds}):
        if state > k:
            state = train(state)
            best = best + state
    return state, best
"""
OPTIONS = {"compiler": "0", "image": "example.org/steps:1"}


@pytest.mark.parametrize("target", [TARGET, KUBEFLOW, KUBERNETES], ids=lambda t: t.name)
def test_a_value_carried_through_rounds_grows_by_the_same_each(
    target: Target, tmp_path: Path
) -> None:
    def size(rounds: int) -> int:
        path = tmp_path / "carried.py"
        path.write_text(CARRIED.format(rounds=rounds))
        program = compile_file(str(path)).program
        assert program is not None
        return sum(len(text.encode()) for text in target.emit(program, OPTIONS).values())

    (tmp_path / "pyproject.toml").touch()
    few, more, many = size(5), size(10), size(50)
    assert (many - more) / 40 <= 1.15 * (more - few) / 5


EFFECTS = """
from levada import pipeline, step


@step
def add(x: int) -> int:
    return x + 1


@step
def note(x: int) -> None:
    return None


@pipeline
def long(x: int = 0):
"""


def edges(program: Program) -> int:
    """Count what nodes wait for: in order, and for the outputs that they use."""
    nodes = list(walk(program.body))
    used = [e for node in nodes for expr in node.expressions() for e in expr.walk()]
    return sum(len(n.after) for n in nodes) + sum(isinstance(e, Output) for e in used)


def test_edges_grow_as_the_steps_do(tmp_path: Path) -> None:
    def counted(steps: int) -> tuple[int, int]:
        path = tmp_path / "long.py"
        path.write_text(EFFECTS + "    x = add(x)\n    note(x)\n" * (steps // 2))
        program = compile_file(str(path)).program
        assert program is not None
        return len(list(walk(program.body))), edges(program)

    (tmp_path / "pyproject.toml").touch()
    (nodes, some), (more_nodes, more) = counted(1000), counted(3000)
    assert (nodes, more_nodes) == (1000, 3000)
    assert (more - some) / 2000 <= 1.01 * some / 1000


TYPES = {
    "a tuple of itself": "x = (x, x)",
    "a list of itself": "x = [x]",
    "itself or a list of itself": "x = x if a > i else [x]",
    "a dict of itself": 'x = {"a": x, "b": [x]}',
}


@pytest.mark.parametrize("what", TYPES)
def test_types_do_not_grow_with_the_rounds(what: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    path = tmp_path / "module.py"

    def work(rounds: int) -> int:
        path.write_text(
            f"{HEADER}@step\ndef f(x) -> int: ...\n\n@pipeline\ndef flow(a: int = 0):\n"
            f"    x = f(a)\n    for i in range({rounds}):\n        {TYPES[what]}\n    f(x)\n"
        )
        return lines_of(lambda: compile_file(str(path)))

    work(2)
    assert work(80) < 2.5 * work(40)
