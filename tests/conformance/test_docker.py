"""Every case, each of its steps in a container of its own, does what plain Python does.

What decides is outside of the containers, as `test_local` shows for every case. So here it is a
case for each kind of value that goes in and comes out, and each way to end; with
`LEVADA_EVERY_INPUT=1` it is all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, all_cases
from tests.conformance.engines.docker import Project, make_project
from tests.conformance.trace import differences
from tests.containers import tool_images
from tests.engines.docker import Docker

pytestmark = pytest.mark.engine


CHOSEN = (
    *("branch_in_fan_out-0", "effect_gate-0", "fail_clauses-0", "failure-0", "frames-0"),
    *("large-0", "model_parameters-0", "modules-0", "named_outputs-0", "nested_steps-0"),
    *("programs-0", "programs-1", "returns_nothing-0", "strings-0", "try_except_finally-0"),
    *("typed_parameters-0", "values-0"),
)


def chosen_cases() -> list[Case]:
    """The inputs to run."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    cases = all_cases("docker", programs=True)
    return [case for case in cases if every or case.id in CHOSEN]


@pytest.fixture(scope="session")
def project(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The cases, with requirements."""
    folder = tmp_path_factory.mktemp("conformance")
    tool_images.load(docker, folder)
    return make_project(folder, docker)


def test_the_chosen_ones_are_there() -> None:
    assert {case.id for case in chosen_cases()} >= set(CHOSEN)


@pytest.mark.parametrize("case", chosen_cases(), ids=lambda case: case.id)
def test_docker(project: Project, case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended; no container is left."""
    expected = plain.run(case, tmp_path, project.docker.host)
    found = project.run(case, tmp_path)
    assert differences(expected, found, case) == []
    assert project.docker.run("ps", "--all", "--quiet").stdout == ""
