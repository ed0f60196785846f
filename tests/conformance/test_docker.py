"""Every case, each of its steps in a container of its own, does what plain Python does.

Two seconds a run are too many for every input here: by default it is the first of each case that
has a module of its own, and those that fail. With `LEVADA_EVERY_INPUT=1` it is all of them. What
the others decide is decided outside of the containers, as `test_local` shows for all.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import Case, cases_for_engines
from tests.conformance.engines.docker import Project, make_project
from tests.conformance.trace import differences
from tests.engines.docker import Docker

pytestmark = pytest.mark.engine


def chosen_cases() -> list[Case]:
    """The inputs to run."""
    every = bool(os.environ.get("LEVADA_EVERY_INPUT"))
    cases = cases_for_engines("docker")
    return [c for c in cases if every or (not c.file and (c.number == 0 or c.fails))]


@pytest.fixture(scope="session")
def project(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The cases, with requirements."""
    return make_project(tmp_path_factory.mktemp("conformance"), docker)


@pytest.mark.parametrize("case", chosen_cases(), ids=lambda case: case.id)
def test_docker(project: Project, case: Case, tmp_path: Path) -> None:
    """Outputs, the steps that ran and on what, and how the run ended; no container is left."""
    expected = plain.run(case, tmp_path)
    found = project.run(case, tmp_path)
    assert differences(expected, found, case) == []
    assert project.docker.run("ps", "--all", "--quiet").stdout == ""
