"""`python -m benchmarks [--only NAME] [--runs N] [--json]`."""

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks import cases, engines
from benchmarks.measure import Bench, Result, side_by_side

Versions = dict[str, str]


def main() -> int:
    """Run, print, and exit 1 if a subject could not run. No time is ever a failure."""
    benchmarks = cases.all_benchmarks()
    options = _options([benchmark.name for benchmark in benchmarks])
    chosen = [b for b in benchmarks if not options.only or b.name in options.only]
    needed = {subject.engine for b in chosen for subject in b.subjects if subject.engine}
    folders = {engine: engines.ensure(engine) for engine in sorted(needed)}
    engines.compile_levada()
    about = _machine({engine: engines.installed(path, engine) for engine, path in folders.items()})
    reports = []
    for benchmark in chosen:
        print(f"running {benchmark.name}", file=sys.stderr)
        reports.append(_report(benchmark, _measure(benchmark, folders, options.runs)))
        if not options.json:
            print(_table(reports[-1]), flush=True)
    about["load_after"] = os.getloadavg()[0]
    print(json.dumps(about | {"benchmarks": reports}, indent=1) if options.json else _footer(about))
    return int(any(subject["error"] for report in reports for subject in report["subjects"]))


def _options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=cases.__doc__)
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--runs", type=int, help="timed runs of each subject")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    return parser.parse_args()


def _measure(
    benchmark: cases.Benchmark, folders: dict[str, Path], runs: int | None
) -> list[Result]:
    here = Path(sys.executable).parent
    with tempfile.TemporaryDirectory(prefix="levada-bench-") as root:
        benches = [
            Bench(subject, Path(root, str(number), "work"), folders.get(subject.engine, here))
            for number, subject in enumerate(benchmark.subjects)
        ]
        return side_by_side(benches, runs or benchmark.runs, benchmark.warm_ups)


def _report(benchmark: cases.Benchmark, results: list[Result]) -> dict:
    levada = results[0]
    subjects = [_subject(result, levada) for result in results]
    aims = [_aim(aim, levada, results) for aim in benchmark.aims]
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "subjects": subjects,
        "aims": aims,
    }


def _subject(result: Result, levada: Result) -> dict:
    return {
        "name": result.subject.name,
        "seconds": result.seconds,
        "median": result.median if result.seconds else None,
        "times_levada": _ratio(result, levada),
        "cpu_median": result.cpu_median if result.seconds else None,
        "cpu_times_levada": _cpu_ratio(result, levada),
        "error": result.error,
    }


def _ratio(result: Result, levada: Result) -> dict | None:
    """How many times as long as Levada: of the medians, and least and most of a round."""
    if not (result.seconds and levada.seconds):
        return None
    rounds = [a / b for a, b in zip(result.seconds, levada.seconds, strict=True)]
    return {
        "of_medians": result.median / levada.median,
        "min": min(rounds),
        "max": max(rounds),
    }


def _cpu_ratio(result: Result, levada: Result) -> float | None:
    if not (result.seconds and levada.seconds):
        return None
    return result.cpu_median / levada.cpu_median


def _aim(aim: cases.Aim, levada: Result, results: list[Result]) -> dict:
    if aim.seconds:
        wanted = f"levada within {_time(aim.seconds)}"
        return _judged(wanted, levada.median <= aim.seconds if levada.seconds else None)
    rival = next(result for result in results if result.subject.name == aim.rival)
    ratio = _ratio(rival, levada)
    wanted = f"`{aim.rival}` takes at least {aim.times:g}x as long as levada"
    return _judged(wanted, ratio["of_medians"] >= aim.times if ratio else None)


def _judged(wanted: str, met: bool | None) -> dict:
    return {"aim": wanted, "met": met}


def _table(report: dict) -> str:
    lines = ["", f"{report['name']}: {report['title']}", ""]
    header = f"  {'':34}{'median':>10}{'min - max':>20}{'CPU':>10}{'x':>7}"
    lines += [f"{header}   wall: x levada (min - max of a round)"]
    lines += [_row(subject) for subject in report["subjects"]]
    words = {True: "met", False: "NOT met", None: "not measured"}
    lines += [f"  aim: {aim['aim']}: {words[aim['met']]}" for aim in report["aims"]]
    return "\n".join(lines)


def _row(subject: dict) -> str:
    if subject["error"]:
        return f"  {subject['name']:34}  CANNOT RUN: {subject['error']}"
    seconds, ratio = subject["seconds"], subject["times_levada"]
    spread = f"{_time(min(seconds))} - {_time(max(seconds))}"
    times = f"{ratio['of_medians']:.2f} ({ratio['min']:.2f} - {ratio['max']:.2f})" if ratio else "-"
    cpu = f"{_time(subject['cpu_median']):>10}"
    cpu += f"{subject['cpu_times_levada']:>7.2f}" if ratio else f"{'-':>7}"
    return f"  {subject['name']:34}{_time(subject['median']):>10}{spread:>20}{cpu}   {times}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _machine(versions: Versions) -> dict:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "versions": versions,
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def _footer(about: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"\n{about['cpu']}, {about['cores']} cores, {about['system']}, Python {about['python']}\n"
        f"load {about['load_before']:.2f} before, {about['load_after']:.2f} after; {versions}"
    )


if __name__ == "__main__":
    sys.exit(main())
