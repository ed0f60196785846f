"""What it takes to find the part of a project that a step reaches, for each step."""

import statistics
import tempfile
import time
from pathlib import Path

from levada import project
from levada.code import Code
from levada_backends.images.slice import Slice
from levada_compiler.compilation import compile_file

STEPS = 200
HELPERS = 400


def closure() -> str:
    """Measure the churn example and a module of many steps and helpers; say it in words."""
    churn = Path(__file__).parents[1] / "examples" / "churn" / "pipeline.py"
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "pipeline.py")
        large.write_text(_module())
        told = [f"{_milliseconds(churn)} (examples/churn)", f"{_milliseconds(large)} (large)"]
    return f"{', '.join(told)}; aim 1 ms a step"


def _milliseconds(path: Path) -> str:
    """The CPU time a step; the parsing of its modules is left out, as it is done once for all."""
    program = compile_file(str(path)).program
    assert program is not None
    found = project.find(str(path))
    times = []
    for _ in range(5):
        code = Code(found)
        for step in program.steps:
            code.units(str(Path(found.root, step.span.file)))
        start = time.process_time()
        for step in program.steps:
            needed = Slice(code)
            needed.add_step(str(Path(found.root, step.span.file)), step.function)
            needed.files()
        times.append((time.process_time() - start) / len(program.steps))
    return f"{statistics.median(times) * 1000:.2f} ms, least {min(times) * 1000:.2f}"


def _module() -> str:
    """A module where each step reaches a chain of helpers."""
    lines = ["from levada import pipeline, step", ""]
    for number in range(HELPERS):
        called = f"helper_{number - 1}(x)" if number % 10 else "x"
        lines += [f"def helper_{number}(x):", f"    return {called} + {number}", ""]
    for number in range(STEPS):
        lines += ["@step", f"def step_{number}(x: int) -> int:"]
        lines += [f"    return helper_{number * HELPERS // STEPS}(x)", ""]
    lines += ["@pipeline", "def flow(x: int = 0):"]
    lines += [f"    x = step_{number}(x)" for number in range(STEPS)]
    return "\n".join([*lines, "    return x", ""])
