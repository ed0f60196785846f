"""Compiling for Kubeflow beside `kfp dsl compile`, and what Levada adds in the container.

    python -m benchmarks.kubeflow [--steps N]... [--runs N]

Two pipelines of N steps in a chain: N distinct steps, and one step called N times. Each compile is
a process; the sizes are those of the files. In the container: one trivial step as KFP's launcher
would start it, by `python -m levada.kubeflow` and by `python -m kfp.dsl.executor_main`.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import engines, generate
from benchmarks.measure import Bench, CannotRunError, Places, Result, Subject, side_by_side

STEPS = (10, 100, 1000, 3000)
HERE = Path(sys.executable).parent
OPTIONS = '[tool.levada.targets.kubeflow]\nimage = "python:3.11"\n'
SHAPES = {
    "distinct steps": (generate.levada_module, generate.kfp_module),
    "one step": (generate.levada_calls, generate.kfp_calls),
}
CALL = {"step": "chain:add_one", "sources": {"x": "1"}}


def _executor_input(output: str) -> str:
    """What KFP's launcher gives a task; each tool has its own name of the output."""
    outputs = {
        "parameters": {output: {"outputFile": "{fresh}/output"}},
        "artifacts": {},
        "outputFile": "{fresh}/executor_output.json",
    }
    given = {"inputs": {"parameterValues": {"levada-call": CALL, "x": 1}}, "outputs": outputs}
    return json.dumps(given)


def main() -> int:
    """Run and print; 1 if a subject could not run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kubeflow", description=__doc__)
    parser.add_argument("--steps", type=int, action="append")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    engines.compile_levada()
    print(f"load {os.getloadavg()[0]:.1f} before")
    failed = False
    for steps in given.steps or STEPS:
        for shape in SHAPES:
            failed |= _compare(f"{steps} x {shape}", _compiles(steps, shape), given.runs)
    failed |= _compare("in the container", _containers(), 5 * given.runs)
    print(f"load {os.getloadavg()[0]:.1f} after")
    return int(failed)


def _compare(title: str, subjects: list[Subject], runs: int) -> bool:
    """Time the subjects side by side and print a line each, and what the second is to the first."""
    kfp = engines.ensure("kfp")
    with tempfile.TemporaryDirectory(prefix="levada-bench-") as root:
        benches = [
            Bench(subject, Path(root, str(number), "work"), kfp if subject.engine else HERE)
            for number, subject in enumerate(subjects)
        ]
        results = side_by_side(benches, runs, warm_ups=1)
        sizes = [_size(bench.work) for bench in benches]
    print(f"\n{title}")
    for result, size in zip(results, sizes, strict=True):
        print(_line(result, results[0], size, sizes[0]), flush=True)
    return any(result.error for result in results)


def _line(result: Result, first: Result, size: int, first_size: int) -> str:
    name = f"  {result.subject.name:20}"
    if result.error:
        return f"{name} CANNOT RUN: {result.error}"
    text = f"{name}{result.median:9.3f} s wall{result.cpu_median:9.3f} s CPU{size:12,} bytes"
    if result is first or first.error:
        return text
    wall, cpu = result.median / first.median, result.cpu_median / first.cpu_median
    ratios = f"x{wall:.1f} wall, x{cpu:.1f} CPU"
    return f"{text}   {ratios}" + (f", x{size / first_size:.1f} bytes" if first_size else "")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("kept/*.yaml"))


def _compiles(steps: int, shape: str) -> list[Subject]:
    levada, kfp = ("\n".join(lines(steps)) + "\n" for lines in SHAPES[shape])
    check = _keeps(steps)
    return [
        Subject(
            "levada compile",
            ["{bin}/levada", "compile", "chain.py", "-t", "kubeflow", "-o", "{fresh}"],
            check,
            env={"LEVADA_CACHE_DIR": "{fresh}/cache"},
            files={"chain.py": levada, "pyproject.toml": OPTIONS},
        ),
        Subject(
            "kfp dsl compile",
            ["{bin}/kfp", "dsl", "compile", "--py", "chain.py", "--output", "{fresh}/chain.yaml"],
            check,
            engine="kfp",
            files={"chain.py": kfp},
        ),
    ]


def _keeps(steps: int):
    """Look whether the file has all tasks, and keep it for its size."""

    def check(places: Places, _printed: str) -> None:
        text = (places.fresh / "chain.yaml").read_text()
        if text.count("componentRef:") < steps:
            raise CannotRunError("the file does not have all tasks")
        (places.work / "kept").mkdir(exist_ok=True)
        (places.work / "kept" / "chain.yaml").write_text(text)

    return check


def _containers() -> list[Subject]:
    steps = {"chain:add_one": {"code": "sha256:0"}}
    kubeflow = {"gives": {"output": "parameter"}, "steps": steps}
    request = {"do": "step", "pipeline": "chain", "run_id": "r", "paths": ["."]}
    request["kubeflow"] = kubeflow
    levada = ["{bin}/python", "-m", "levada.kubeflow", json.dumps(request)]
    levada += [_executor_input("output")]
    kfp = ["{bin}/python", "-m", "kfp.dsl.executor_main", "--component_module_path", "chain.py"]
    kfp += ["--executor_input", _executor_input("Output"), "--function_to_execute", "add_one"]
    return [
        Subject(
            "levada.kubeflow",
            levada,
            _has_output,
            env={"LEVADA_STORE": "{fresh}/store"},
            files={"chain.py": "\n".join(generate.levada_calls(1)) + "\n", "pyproject.toml": ""},
        ),
        Subject(
            "kfp.dsl.executor_main",
            kfp,
            _has_output,
            engine="kfp",
            files={"chain.py": "def add_one(x: int) -> int:\n    return x + 1\n"},
        ),
    ]


def _has_output(places: Places, _printed: str) -> None:
    if not (places.fresh / "executor_output.json").exists():
        raise CannotRunError("no executor output was written")


if __name__ == "__main__":
    sys.exit(main())
