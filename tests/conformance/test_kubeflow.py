"""Every case, compiled for Kubeflow and run by KFP's local runner, does what plain Python does.

Images are those of `levada build`, pulled from a registry by their digests, as a cluster would. By
default it is one case for each thing that is compiled for KFP in its own way: conditions, loops,
exit handlers, what goes between tasks. With `LEVADA_EVERY_INPUT=1` it is all of them. What cannot
be the same is in `kubeflow_differs.json`, with the reason.
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


CHOSEN = (
    *("append_in_finally-0", "append_in_finally-3", "branch-0", "branch_in_fan_out-0"),
    *("branch_in_try-0", "churn_shape-0", "conditional_append-0", "cut_off_in_fan_out-0"),
    *("cut_off_in_fan_out-1", "early_return_in_handler-0", "failing_condition-0"),
    *("failing_condition_in_fan_out-0", "failing_expression-0", "failure-0", "fan_out_chain-0"),
    *("fan_out_empty-0", "fan_out_grid-0", "fan_out_in_try-0", "fan_out_nested-0"),
    *("fan_out_over_output-0", "finally_fails-0", "finally_replaces-0", "frames-0"),
    *("guard_in_guarded_item-0", "large-0", "leave_in_handler-0", "loop_in_order_steps-0"),
    *("model_parameters-0", "modules-0", "named_outputs-0", "names_beyond_ascii-0"),
    *("nested_steps-0", "overrides-0", "parameter_types-0", "programs-0", "programs-1"),
    *("raise_in_items-0", "strings-0", "sub_pipeline_in_finally-0", "sub_pipeline_nested-0"),
    *("try_except_finally-0", "try_except_finally-2", "try_finally-1", "try_in_branch-0"),
    *("try_in_fan_out-0", "typed_parameters-0", "unpacking-0", "values-0"),
)


def chosen_cases() -> list[Case]:
    """The inputs to run."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    cases = cases_for_engines("kubeflow", programs=True)
    return [case for case in cases if every or case.id in {*CHOSEN, *DIFFERS}]


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
    firsts = {case.name: case for case in reversed(cases)}
    files = {name: project.compiled(case) for name, case in firsts.items()}
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


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in chosen_cases()} >= {*CHOSEN, *DIFFERS}


@pytest.mark.parametrize("case", parameters())
def test_kubeflow(
    runs: dict[str, dict[str, Any]], docker: Docker, folder: Path, case: Case, tmp_path: Path
) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path, docker.host)
    found = engine.trace(case, str(folder / case.id / "store"), runs[case.id])
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, runs[case.id]["log"]])
