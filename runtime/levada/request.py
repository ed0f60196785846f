"""What one attempt of a step is: which function, with which inputs, for which run.

It is the computed form of a task's request (``levada.task_request``).
"""

from __future__ import annotations

import os

from levada import task_request
from levada.errors import UsageError
from levada.records import attempt_path
from levada.redaction import secret_variables
from levada.stores import variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.record_types import EnginePart, EnvironmentPart, GitPart
    from levada.trees.tree_types import Tree


class StepRequest:
    """One attempt of one step, in and out of JSON.

    ``step`` holds module, function, source_roots (absolute or relative to ``project``), code,
    imports, outputs and settings, the file where it is known, and of a container step its
    ``container`` part (see ``levada.programs``), and ``read_at`` where the code was read from files
    that may change: when that was, in nanoseconds since the epoch. ``inputs`` are trees by
    parameter and ``sources`` the expressions that gave them; ``parameters`` are the run's, as
    trees. ``secrets`` are the variables of the secrets of all steps of the run, as far as they are
    known here; their values may be in this process too. ``git`` is that of the run.
    ``pipeline_file`` is the pipeline's path in the project, as far as it is known (see
    ``levada.program_modules``).
    ``environment`` describes what the step runs in (see ``levada.environment``) where that is not
    the process that has the request. ``spool`` is the folder of this machine that the log is
    written in where the store is elsewhere, if somebody reads it there; else one is made.
    ``label`` is what people call the item of a loop (`levada.item_labels`).
    """

    __slots__ = (
        "attempt",
        "engine",
        "environment",
        "git",
        "inputs",
        "label",
        "map_index",
        "node",
        "parameters",
        "pipeline",
        "pipeline_file",
        "project",
        "run_id",
        "secrets",
        "sources",
        "spool",
        "step",
        "store",
        "warnings",
    )

    def __init__(
        self,
        *,
        pipeline: str,
        run_id: str,
        node: str,
        step: dict[str, Any],
        store: str,
        map_index: list[int] | tuple[int, ...] | None = None,
        attempt: int = 1,
        inputs: dict[str, Tree] | None = None,
        sources: dict[str, str] | None = None,
        parameters: dict[str, Tree] | None = None,
        engine: EnginePart | None = None,
        git: GitPart | None = None,
        project: str = ".",
        pipeline_file: str | None = None,
        warnings: list[str] | None = None,
        environment: EnvironmentPart | None = None,
        secrets: list[str] | None = None,
        spool: str | None = None,
        label: str | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.run_id = run_id
        self.node = node
        self.map_index = list(map_index) if map_index else None
        self.attempt = attempt
        self.step = step
        self.inputs = inputs or {}
        self.sources = sources or {}
        self.parameters = parameters or {}
        self.store = store
        self.engine = engine or {}
        self.git = git
        self.project = project
        self.pipeline_file = pipeline_file
        self.warnings = warnings or []
        self.environment = environment
        self.secrets = secrets or []
        self.spool = spool
        self.label = label

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StepRequest:
        """Read the JSON form. Raises UsageError for a field that is missing, unknown or wrong."""
        task_request.check(data)
        for name in ("pipeline", "run_id", "node", "step", "store"):
            if not data.get(name):
                raise UsageError(f"the field `{name}` is missing")
        for name in data:
            if name not in cls.__slots__:
                raise UsageError(f"the field `{name}` is not of a request with computed inputs")
        return cls(**data)

    def as_json(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def settings(self) -> dict[str, Any]:
        """The step's settings, as merged for this call."""
        settings: dict[str, Any] = self.step.get("settings") or {}
        return settings

    @property
    def container(self) -> dict[str, Any] | None:
        """What a container step runs, with ``image`` in the settings; None for a function."""
        part: dict[str, Any] | None = self.step.get("container")
        return part

    @property
    def key(self) -> str:
        """``module:function``."""
        return f"{self.step['module']}:{self.step['function']}"

    @property
    def outputs(self) -> list[str]:
        """The names of the step's outputs, none for a plain return value."""
        return list(self.step.get("outputs") or ())

    @property
    def roots(self) -> list[str]:
        """The folders that the project's modules are imported from, absolute."""
        project = os.path.abspath(self.project)
        roots = self.step.get("source_roots") or ["."]
        return [os.path.normpath(os.path.join(project, root)) for root in roots]

    @property
    def folder(self) -> str:
        """The attempt's folder in the store."""
        return attempt_path(self.pipeline, self.run_id, self.node, self.map_index, self.attempt)

    @property
    def allow_pickle(self) -> bool:
        """Whether values may be stored and loaded as pickles."""
        return bool(self.settings.get("allow_pickle"))

    @property
    def secrets_here(self) -> dict[str, str]:
        """The values, by variable, of the run's secrets that this process has."""
        of_store = variables.secrets_of(self.store)
        names = dict.fromkeys([*(self.settings.get("secrets") or ()), *self.secrets, *of_store])
        return secret_variables(names, os.environ)
