"""Lets this process load values of a project's own classes."""

from __future__ import annotations

import os
import sys

from levada import project as projects
from levada import values
from levada.program_modules import ProgramModules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada_records.runs import Run


def trust_project(run: Run) -> None:
    """Let the modules that the pipeline of a run imports be imported to load its values.

    They are looked for in `Run.project` only: what the store says of folders is not believed, for
    whoever can write to it could have any code run. Raises StoreError if the store is where
    modules are imported from.
    """
    if run.project is None:
        return
    root = os.path.abspath(run.project)
    file = _pipeline_file(run, root)
    project = projects.find(os.path.join(root, file or "pipeline.py"))
    if os.path.realpath(project.root) != os.path.realpath(root):  # there is one within it
        project = projects.Project(root, (root, os.path.join(root, "src")))
    values.set_program(ProgramModules(project, run.store, file))
    sys.path += [
        folder for folder in project.search if os.path.isdir(folder) and folder not in sys.path
    ]


def _pipeline_file(run: Run, root: str) -> str | None:
    """Return the file of the run's pipeline relative to the root, if it is still there."""
    plan = run.plan
    file = plan.get("file") if plan is not None else None
    if not isinstance(file, str) or "\0" in file:
        return None
    path = os.path.realpath(os.path.join(root, file))
    is_within = path.startswith(os.path.realpath(root) + os.sep)
    return file if is_within and os.path.isfile(path) else None
