"""A project in a folder, its plan, and runs of it on the local engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from levada import engine
from levada.engine import Event, Outcome
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import plan

HEADER = """\
import os, signal, subprocess, sys, time
from pathlib import Path
from levada import PermanentError, Retry, after, log_metric, pipeline, step

"""

#: Runs a pipeline of a file in a process of its own; prints the outcome's JSON.
SCRIPT = """\
import json, sys
from tests.engine.project import Project
outcome = Project(sys.argv[1]).run(**json.loads(sys.argv[2]))
print(json.dumps(outcome.as_json()))
"""


class Project:
    """A folder with one module, ``pipeline.py``, that has a pipeline ``main``."""

    def __init__(self, folder: Path | str, source: str | None = None) -> None:
        self.folder = Path(folder)
        self.store = str(self.folder / "store")
        self.events: list[Event] = []
        if source is not None:
            (self.folder / "pyproject.toml").touch()
            (self.folder / "pipeline.py").write_text(HEADER + source)

    def plan(self) -> dict[str, Any]:
        compilation = compile_file(str(self.folder / "pipeline.py"))
        errors = [d for d in compilation.diagnostics if d.severity.value == "error"]
        assert compilation.program is not None, errors
        return plan(compilation.program)

    def run(self, parameters: dict[str, Any] | None = None, **options: Any) -> Outcome:
        self.events.clear()
        return engine.run(
            self.plan(),
            parameters or {},
            store=self.store,
            project=str(self.folder),
            on_event=self.events.append,
            **options,
        )

    def start(self, **options: Any) -> subprocess.Popen[str]:
        """The same run in a process of its own, as the leader of its process group."""
        command = [sys.executable, "-c", SCRIPT, str(self.folder), json.dumps(options)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )

    def file(self, name: str) -> Path:
        return self.folder / name

    def record(self, outcome: Outcome, node: str, attempt: int = 1) -> dict[str, Any]:
        path = Path(self.store, outcome.folder, node, str(attempt), "record.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def log(self, outcome: Outcome, node: str, attempt: int = 1) -> str:
        return Path(self.store, outcome.folder, node, str(attempt), "log").read_text()


def statuses(outcome: Outcome) -> dict[str, str]:
    return {step.label: step.status for step in outcome.steps}
