"""Cases as Jobs of a real cluster, in the restricted profile, do what plain Python does.

The driver decides with the same interpreter as the local engine, which `test_local` tries on every
input; containers and their values are `test_docker`'s. So here it is a case for each kind of thing
that passes between the driver, the store and pods, beside those of `test_kubernetes_bucket`; with
`LEVADA_EVERY_INPUT=1` all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines.kubernetes import AT_A_TIME, Project
from tests.conformance.engines.pods import Runs
from tests.conformance.trace import differences
from tests.containers import tool_images

pytestmark = pytest.mark.engine
CHOSEN = (
    *("churn_shape-2", "overrides-0", "strings-0", "sub_pipeline-0", "variadic-0", "values-0"),
    *("compute_dicts-0", "fail_clauses-0", "match_output-0", "part_named-0"),
    *("programs-0", "programs-1"),
)


def chosen_cases() -> list[Case]:
    """The inputs to run."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    return [case for case in all_cases(programs=True) if every or case.id in CHOSEN]


@pytest.fixture(scope="module")
def runs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """All runs, started."""
    tool_images.import_into(cluster.containerd, tmp_path_factory.mktemp("tools"))
    with cluster.namespace() as space:
        project = Project(space, cluster.registry, tmp_path_factory.mktemp("conformance"))
        started = Runs(project.run, chosen_cases(), AT_A_TIME)
        yield started
        started.close()


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in chosen_cases()} >= set(CHOSEN)


@pytest.mark.parametrize("case", chosen_cases(), ids=lambda case: case.id)
def test_kubernetes(runs: Runs, case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path, tool_images.engine_for(case.programs, request))
    found = runs.result(case)
    assert differences(expected, found, case) == []
