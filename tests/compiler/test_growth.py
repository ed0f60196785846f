"""A program of twice the size takes twice the work: counted in executed lines, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from levada_backends.airflow import TARGET
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import plan

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
