"""`python -m benchmarks.airflow [parse] [size] [overhead]`: a generated DAG file beside others.

parse: how long Airflow 3 takes to read the file, beside one that does the same with BashOperators,
written by hand; alternately in one process, after Airflow itself is imported.
size: bytes a step in the file, by processes and by pods, beside the hand-written one.
overhead: how long a task of a trivial step takes in a running Airflow 3, beside a BashOperator
that runs `true`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from levada_backends.airflow import TARGET
from levada_compiler.compilation import compile_file

from benchmarks import generate
from tests.engines import airflow as engine

VERSION = "3"
STEPS = (10, 100, 1000)
ROUNDS = {10: 21, 100: 15, 1000: 7}
RUNS, TASKS = 3, 10
IMAGE = "registry.example.com/chain/step@sha256:" + 64 * "a"
PODS = {"executor": "kubernetes", "image": IMAGE, "store": "s3://bucket/levada"}

PARSER = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
paths, rounds = sys.argv[1:3], int(sys.argv[3])
def parse(path):
    start = time.process_time(), time.perf_counter()
    bag = DagBag(path, bundle_path=None)
    took = time.process_time() - start[0], time.perf_counter() - start[1]
    assert not bag.import_errors, bag.import_errors
    assert len(bag.dags) == 1
    return took
times = {path: [] for path in paths}
for number in range(rounds + 1):
    for path in paths:
        took = parse(path)
        if number:  # the first one imports
            times[path].append(took)
print(json.dumps([times[path] for path in paths]))
"""


def main() -> None:
    """Measure what is asked for, or all."""
    chosen = sys.argv[1:] or ["parse", "size", "overhead"]
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            {"parse": parse, "size": size, "overhead": overhead}[name](Path(folder))


def parse(folder: Path) -> None:
    """Print the times to parse, and their ratios."""
    print("| tasks | generated | by hand | ratio of CPU, median | of the least |")
    print("|---|---|---|---|---|")
    for steps in STEPS:
        ours, theirs = generated(steps, folder), by_hand(steps, folder)
        mine, other = parse_times(ours, theirs, ROUNDS[steps])
        medians = [statistics.median(times) for times in (mine, other)]
        ratio, least = medians[0] / medians[1], min(mine) / min(other)
        shown = " | ".join(f"{median * 1000:.1f} ms" for median in medians)
        print(f"| {steps} | {shown} | {ratio:.2f} | {least:.2f} |", flush=True)


def parse_times(ours: Path, theirs: Path, rounds: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each file, round by round."""
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [str(engine.python(VERSION)), "-c", PARSER, str(ours), str(theirs), str(rounds)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    mine, other = json.loads(done.stdout.splitlines()[-1])
    return [cpu for cpu, _ in mine], [cpu for cpu, _ in other]


def size(folder: Path) -> None:
    """Print the bytes of files, and of each step in them."""
    print("\n| steps | processes | a step | pods | a step | by hand | a step |")
    print("|---|---|---|---|---|---|---|")
    for steps in STEPS:
        paths = (generated(steps, folder), generated(steps, folder, **PODS), by_hand(steps, folder))
        row = " | ".join(f"{size:,} | {size / steps:,.0f}" for size in map(_bytes, paths))
        print(f"| {steps} | {row} |")


def _bytes(path: Path) -> int:
    return path.stat().st_size


def overhead(folder: Path) -> None:
    """Print how long a task takes, and a run of ten in a row."""
    modules = {"chain": generated(TASKS, folder), "bash": bash_true(folder)}
    with engine.start(VERSION) as airflow:
        modules["chain"] = generated(TASKS, folder, project=str(folder))
        airflow.deploy({f"{name}.py": path.read_text() for name, path in modules.items()})
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in modules}
        for number in range(RUNS + 1):
            for name in modules:
                took = timed_run(airflow, name, number)
                if number:
                    found[name].append(took)
    print("\n| subject | a task, median | a run of ten in a row, median |")
    print("|---|---|---|")
    for name, times in found.items():
        task, run = (statistics.median(column) for column in zip(*times, strict=True))
        title = {"chain": "Levada, a step", "bash": "BashOperator, `true`"}[name]
        print(f"| {title} | {task:.2f} s | {run:.1f} s |")


def timed_run(airflow: engine.Airflow, name: str, number: int) -> tuple[float, float]:
    """Seconds of a task in the middle, and from the first one's start to the last one's end."""
    run = airflow.run(name, {"x": number} if name == "chain" else {}, timeout=600)
    if run.state != "success":
        raise SystemExit(run.describe())
    listed = airflow.api.get_all(
        f"/dags/{name}/dagRuns/{run.run_id}/taskInstances", "task_instances"
    )
    spans = [(engine.seconds(one["start_date"]), engine.seconds(one["end_date"])) for one in listed]
    durations = [end - start for start, end in spans]
    return statistics.median(durations), max(e for _, e in spans) - min(s for s, _ in spans)


# ---------------------------------------------------------------------------- the files


def generated(steps: int, folder: Path, **options: object) -> Path:
    """The DAG file of a chain of steps, with these options of the target."""
    module = folder / f"chain_{steps}.py"
    module.write_text("\n".join(generate.levada_module(steps)))
    program = compile_file(module, "chain").program
    assert program is not None
    (text,) = TARGET.emit(program, {"compiler": "0.1.0"} | options).values()
    path = folder / f"{options.get('executor', 'generated')}_{steps}.py"
    path.write_text(text)
    return path


def by_hand(steps: int, folder: Path) -> Path:
    """A DAG file of as many BashOperators, with what an engineer would give them."""
    path = folder / f"by_hand_{steps}.py"
    path.write_text("\n".join(_by_hand(steps)) + "\n")
    return path


def _by_hand(steps: int) -> Iterator[str]:
    yield from ('"""A chain."""', "", "import pendulum")
    yield from ("from airflow.providers.standard.operators.bash import BashOperator",)
    yield from ("from airflow.sdk import DAG, Param", "", "with DAG(")
    yield from ('    dag_id="by_hand",', "    schedule=None,")
    yield from ('    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),', "    catchup=False,")
    yield from ('    params={"x": Param(0, type="integer")},', '    default_args={"retries": 0},')
    yield from ("    doc_md=__doc__,", ") as dag:")
    names = generate.names(steps)
    for name in names:
        yield from (f"    {name} = BashOperator(", f'        task_id="{name}",')
        yield f'        bash_command="python -m chain {name} --x \\"$X\\"",'
        yield '        env={"X": "{{ params.x }}", "RUN_ID": "{{ run_id }}"},'
        yield from ("        append_env=True,", f'        doc_md="Do {name}.",', "    )", "")
    for before, after in pairwise(names):
        yield f"    {before} >> {after}"


def bash_true(folder: Path) -> Path:
    """A chain of BashOperators that do nothing."""
    path = folder / "bash.py"
    lines = [
        "import pendulum",
        "from airflow.providers.standard.operators.bash import BashOperator",
        "from airflow.sdk import DAG, chain",
        'with DAG("bash", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):',
        f"    tasks = range({TASKS})",
        '    chain(*(BashOperator(task_id=f"t{n}", bash_command="true") for n in tasks))',
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    main()
