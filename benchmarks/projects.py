"""A whole repository: 500 pipelines of ten steps that share a module."""

import re

from benchmarks.cases import LEVADA, Aim, Benchmark, Subject, python_floor
from benchmarks.measure import CannotRunError, Places

PIPELINES = 500
STEPS = 10  # two of them are shared
SETTINGS = """
[tool.levada]
pipelines = ["flow_*.py"]
target = "airflow"

[tool.levada.targets.airflow]
output = "dags"
"""
SHARED = """
from levada import step


@step
def load(name: str) -> list[int]:
    return [len(name)]


@step
def publish(rows: list[int]) -> int:
    return len(rows)
"""


def project_benchmarks() -> list[Benchmark]:
    """Check all, compile all, and compile all again when nothing has changed."""
    empty = {"LEVADA_CACHE_DIR": "{fresh}/cache"}
    kept = {"LEVADA_CACHE_DIR": "{work}/cache"}
    return [
        _benchmark("project-check", "check", ["check"], empty, 2.0),
        _benchmark("project-compile", "compile", ["compile", "-o", "{fresh}/dags"], empty, 3.0),
        _benchmark("project-unchanged", "compile again", ["compile"], kept, 1.0),
    ]


def _benchmark(
    name: str, what: str, words: list[str], env: dict[str, str], seconds: float
) -> Benchmark:
    command = Subject(f"levada {words[0]}", [LEVADA, *words], _all_of_them, env=env, files=_files())
    title = f"{what} {PIPELINES} pipelines of {STEPS} steps"
    return Benchmark(
        name, title, [command, python_floor()], [Aim(seconds=seconds)], runs=5, warm_ups=2
    )


def _all_of_them(_: Places, said: str) -> None:
    """What is said of the whole goes to stderr; the exit status has been looked at."""
    if re.search("error|stale", said):
        raise CannotRunError(said)


def _files() -> dict[str, str]:
    flows = {f"flow_{number:03}.py": _flow(number) for number in range(PIPELINES)}
    return {"pyproject.toml": SETTINGS, "shared_steps.py": SHARED, **flows}


def _flow(number: int) -> str:
    lines = ["from levada import pipeline, step", "from shared_steps import load, publish"]
    for stage in range(STEPS - 2):
        lines += ["", "", "@step", f"def stage_{stage}(rows: list[int], by: int) -> list[int]:"]
        lines += [
            f'    """Multiply, for the {stage}th time."""',
            "    return [r * by for r in rows]",
        ]
    lines += [
        "",
        "",
        "@pipeline",
        f'def flow_{number:03}(name: str = "a"):',
        "    rows = load(name)",
    ]
    lines += [f"    rows = stage_{stage}(rows, {number + stage})" for stage in range(STEPS - 2)]
    return "\n".join([*lines, "    return publish(rows)", ""])
