"""Every case, compiled for Kubeflow and run by KFP's local runner, does what plain Python does.

Images are those of `levada build`, pulled from a registry by their digests, as a cluster would. By
default it is the first input of each case that has a module of its own, and those that fail; with
`LEVADA_EVERY_INPUT=1` all. What cannot be the same is in `kubeflow_differs.json`, with the reason.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, cases_for_engines
from tests.conformance.engines import kubeflow as engine
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines.docker import Docker
from tests.engines.kubeflow import Kubeflow

pytestmark = pytest.mark.engine

DIFFERS = json.loads(Path(__file__).with_name("kubeflow_differs.json").read_text())
PROCESSES = 2


def chosen_cases() -> list[Case]:
    """Inputs of cases that have a module of their own, and those that are known to differ."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    cases = cases_for_engines("kubeflow", programs=True)
    wanted = (c for c in cases if c.number == 0 or c.fails or c.id in DIFFERS)
    return cases if every else [c for c in wanted if not c.file]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs are, each in a folder of its own."""
    return tmp_path_factory.mktemp("kubeflow")


@pytest.fixture(scope="session")
def runs(docker: Docker, kubeflow: Kubeflow, folder: Path) -> dict[str, dict[str, Any]]:
    """How each run ended. All are run at once: importing `kfp` takes longer than most of them."""
    tool_images.load(docker, folder)
    project = engine.make_project(folder, docker, kubeflow)
    cases = chosen_cases()
    files = {case.name: project.compiled(case) for case in cases if case.number == 0}
    given = [project.run(case, files[case.name], folder / case.id) for case in cases]
    parts = [range(first, len(cases), PROCESSES) for first in range(PROCESSES)]

    def run(part: range) -> list[dict[str, Any]]:
        outputs = folder / f"outputs-{part.start}"
        return kubeflow.run([given[n] for n in part], docker.host, outputs, seconds=1800)

    with ThreadPoolExecutor(PROCESSES) as pool:
        ended = zip(parts, pool.map(run, parts), strict=True)
        return {cases[n].id: one for part, all_ in ended for n, one in zip(part, all_, strict=True)}


def parameters() -> list[Any]:
    """The cases; those that differ have to differ."""
    return [
        pytest.param(
            case,
            id=case.id,
            marks=[pytest.mark.xfail(reason=DIFFERS[case.id]["reason"], strict=True)]
            if case.id in DIFFERS
            else [],
        )
        for case in chosen_cases()
    ]


@pytest.mark.parametrize("case", parameters())
def test_kubeflow(
    runs: dict[str, dict[str, Any]], docker: Docker, folder: Path, case: Case, tmp_path: Path
) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path, docker.host)
    found = engine.trace(case, str(folder / case.id / "store"), runs[case.id])
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, runs[case.id]["log"]])
