"""`python -m benchmarks.images [--rounds N] [--only NAME]`: a numpy and pandas step as an image.

Everything is real: the packages of the index, an engine and a registry of this machine. Each tool
makes the image cold, again without a change, after a change of the code, and with a package more,
all with a push; the tools take turns, so that a busy moment falls on all of them. Each round has
an engine and a registry of its own, so that each is cold. Printed: the median seconds of a whole
process, how many times as long as Levada's, and what Levada's code alone takes.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from levada_backends.images.make_base import make_base

from benchmarks import engines
from benchmarks.image_builds import BUILDS, Build, Change
from benchmarks.slices import closure
from tests.engines import docker as docker_engine
from tests.images import parts

PACKAGES = ("numpy", "pandas")
PHASES = {
    "cold": Change(1, PACKAGES),
    "no change": Change(1, PACKAGES),
    "code change": Change(2, PACKAGES),
    "one package more": Change(2, (*PACKAGES, "click")),
}
AIMS = {"cold": 4.0, "no change": 0.1, "code change": 0.2}
WITH_PIP = """FROM with-shell:1
USER 0
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
COPY chmod /bin/chmod
RUN ["python{python}", "-m", "ensurepip", "--default-pip"]
"""
Times = dict[str, dict[str, list[float]]]


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", action="append", choices=[each.__name__ for each in BUILDS])
    options = parser.parse_args()
    chosen = [each for each in BUILDS if not options.only or each.__name__ in options.only]
    engines.compile_levada()
    times: Times = {each.name: {phase: [] for phase in PHASES} for each in chosen}
    before = os.getloadavg()[0]
    for number in range(options.rounds):
        _round(number, chosen, times)
    print(_table(times))
    print(f"\nload {before:.0f} before, {os.getloadavg()[0]:.0f} after; {options.rounds} rounds")
    print(f"\nclosure: {closure()}")


def _round(number: int, chosen: list[type[Build]], times: Times) -> None:
    with docker_engine.start() as docker, tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        base = _base(docker, work)
        builds = [made for each in chosen if (made := _prepared(each, docker, work, base, number))]
        for phase, change in PHASES.items():
            for build in builds:
                _time(build, phase, change, times)


def _time(build: Build, phase: str, change: Change, times: Times) -> None:
    build.prepare(change)
    start = time.perf_counter()
    try:
        build.run()
    except RuntimeError as error:
        print(f"{build.name} CANNOT RUN ({phase}): {error}", file=sys.stderr)
        return
    times[build.name][phase].append(time.perf_counter() - start)
    print(f"{build.name}, {phase}: {times[build.name][phase][-1]:.2f}", file=sys.stderr)


def _prepared(
    kind: type[Build], docker: docker_engine.Docker, work: Path, base: str, number: int
) -> Build | None:
    """Give a tool that is ready and whose warm-up went well; say why one is not."""
    print(f"preparing {kind.name}", file=sys.stderr)
    try:
        build = kind(docker, work, base, number)
        build.warm_up(PHASES["cold"])
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"{kind.name} CANNOT RUN: {error}", file=sys.stderr)
        return None
    return build


def _base(docker: docker_engine.Docker, work: Path) -> str:
    """Put a base with this Python and pip into the registry; give its reference."""
    archive = work / "base.tar"
    parts.with_shell(docker, f"oci:{archive}@{make_base(archive)}", work / "shell")
    (work / "pip").mkdir()
    (work / "pip" / "Dockerfile").write_text(WITH_PIP.format(python=parts.PYTHON))
    shutil.copy("/bin/chmod", work / "pip" / "chmod")  # ZenML's Dockerfile wants it
    name = f"{docker.registry}/bases/python:1"
    docker.run("build", "--tag", name, str(work / "pip"))
    docker.run("push", name)
    return name


def _table(times: Times) -> str:
    lines = [f"| | {' | '.join(PHASES)} |", f"|---|{'---|' * len(PHASES)}"]
    levada = next(iter(times.values()))
    for name, phases in times.items():
        cells = [_cell(seconds, levada[phase]) for phase, seconds in phases.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    aims = [f"{AIMS[phase]:g} s" if phase in AIMS else "" for phase in PHASES]
    return "\n".join([*lines, f"| aim | {' | '.join(aims)} |"])


def _cell(seconds: list[float], levada: list[float]) -> str:
    if not seconds:
        return "cannot run"
    median = statistics.median(seconds)
    if seconds is levada:
        return f"{median:.2f} s (least {min(seconds):.2f})"
    return f"{median:.2f} s ({median / statistics.median(levada):.1f}x)"


if __name__ == "__main__":
    main()
