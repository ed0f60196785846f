"""Whether the running interpreter has the packages that steps were read from."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
from levada.code import Code
from levada.project import Project

if TYPE_CHECKING:
    from levada.distributions import Environment
    from levada.plan_types import Plan


def check(planned: Plan, project: Project) -> None:
    """Refuse to run steps of packages of which this interpreter has another version, or none.

    Steps are read from the project's environment, and a run here uses this interpreter's: their
    records would name code that did not run. Raises ClickException.
    """
    search = [os.path.normpath(os.path.join(project.root, each)) for each in planned["search"]]
    here = Project(project.root, search)
    if here.environment.folders == project.environment.folders:
        return
    code = Code(here)
    for key, step in planned["steps"].items():
        path = here.locate(step["module"]) or here.environment.locate(step["module"])
        if path is None:
            raise _different(key, "does not have it", project.environment)
        try:
            found = code.step(path, step["function"], step["settings"].get("files") or ())
        except (LookupError, OSError, SyntaxError):
            raise _different(key, "has another version", project.environment) from None
        if found.digest != step["code"]:
            raise _different(key, "has another version", project.environment)


def _different(key: str, reason: str, environment: Environment) -> click.ClickException:
    place = environment.folders[0] if environment.folders else "the project's environment"
    return click.ClickException(
        f"`{key}` was read from {place}, and {sys.executable}, which would run it, {reason}\n"
        "help: run Levada in the project's environment: `uv run levada run …`"
    )
