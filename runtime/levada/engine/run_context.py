"""What all attempts of a run have in common."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from levada import log_upload, records
from levada.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from levada.record_types import EnginePart, GitPart, Record
    from levada.store import Store
    from levada.trees.tree_types import Tree

    from .earlier import EarlierRun
    from .executor import Attempt


_SPOOL = "levada-run-"
_OLD = 7 * 86_400.0  # seconds after which no run writes to its folder any more


def _sweep(folder: str) -> None:
    """Remove what runs that were killed have left there."""
    from shutil import rmtree

    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_SPOOL):
                state = entry.stat(follow_symlinks=False)
                if state.st_uid == os.geteuid() and state.st_mtime < time.time() - _OLD:
                    rmtree(entry.path, ignore_errors=True)


class RunContext:
    """What all attempts of a run have in common.

    ``pipeline_file`` is the pipeline's file, relative to the project, ``project`` the absolute
    path of the project's root, ``parameters`` are trees, ``git``
    is the git part of its records, ``packages`` the imports and the requirements of each
    step, ``use_cache`` is False where every step must run, ``secrets`` are the variables of the
    secrets of all steps. ``earlier`` is a run whose results are taken.
    """

    __slots__ = (
        "earlier",
        "engine",
        "git",
        "packages",
        "parameters",
        "pipeline",
        "pipeline_file",
        "project",
        "run_id",
        "search",
        "secrets",
        "spool",
        "store",
        "use_cache",
    )

    def __init__(
        self,
        *,
        pipeline: str,
        pipeline_file: str,
        run_id: str,
        parameters: dict[str, Tree],
        project: str,
        search: list[str],
        store: Store,
        engine: EnginePart,
        git: GitPart | None,
        packages: list[tuple[list[str], list[str]]],
        use_cache: bool,
        secrets: Iterable[str] = (),
        earlier: EarlierRun | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.pipeline_file = pipeline_file
        self.run_id = run_id
        self.parameters = parameters
        self.project = project
        self.search = search  # the folders that modules are imported from
        self.store = store
        self.engine = engine
        self.git = git
        self.packages = packages
        self.use_cache = use_cache
        self.secrets = sorted(secrets)
        self.earlier = earlier
        self.spool: str | None = None  # made when an attempt needs it

    def uses_cache(self, attempt: Attempt) -> bool:
        """Whether an attempt may take its result from the cache, as far as the run says."""
        before = self.earlier
        is_anew = before is not None and before.is_anew(attempt.node, attempt.map_index)
        return self.use_cache and not is_anew

    @property
    def folder(self) -> str:
        """The run's folder in the store."""
        return records.run_path(self.pipeline, self.run_id)

    def attempt_folder(self, attempt: Attempt) -> str:
        """An attempt's folder in the store."""
        return records.attempt_path(
            self.pipeline, self.run_id, attempt.node, attempt.map_index, attempt.number
        )

    def record_path(self, attempt: Attempt) -> str:
        """The path of an attempt's record in the store."""
        return records.record_path(self.attempt_folder(attempt))

    def record(self, attempt: Attempt) -> Record | None:
        """An attempt's record, if it has one."""
        record: Record | None = records.read_record(self.store, self.attempt_folder(attempt))
        return record

    def local_folder(self, attempt: Attempt) -> str:
        """The folder of this machine that an attempt's log is written in, made by this."""
        folder = self.attempt_folder(attempt)
        log = self.store.local_path(f"{folder}/log")
        return self._attempt_spool(folder) if log is None else os.path.dirname(log)

    def log_file(self, attempt: Attempt) -> str:
        """The file of this machine that an attempt's log is written to."""
        return os.path.join(self.local_folder(attempt), "log")

    def spool_folder(self) -> str:
        """Make the folder of the run's files on this machine, where the store is elsewhere."""
        if self.spool is None:
            from tempfile import gettempdir, mkdtemp

            _sweep(gettempdir())
            self.spool = mkdtemp(prefix=_SPOOL)
        return self.spool

    def _attempt_spool(self, folder: str) -> str:
        """Where an attempt's files are until they are in a store that is elsewhere."""
        path = os.path.join(self.spool_folder(), sha256(folder.encode()).hexdigest()[:16])
        os.makedirs(path, exist_ok=True)
        return path

    def store_log(self, attempt: Attempt) -> None:
        """Store the log of an attempt that could not do so itself. Raises StoreError."""
        folder = self.attempt_folder(attempt)
        if self.store.local_path(folder) is None:
            log_upload.store_whole(self.store, folder, self._attempt_spool(folder))

    def close(self) -> None:
        """Remove the files of this machine that are in the store by now."""
        if self.spool is not None:
            from shutil import rmtree

            rmtree(self.spool, ignore_errors=True)

    def request(self, attempt: Attempt) -> dict[str, Any]:
        """What the step's process is asked to do, as JSON."""
        plan = attempt.step
        settings = attempt.settings
        if not self.uses_cache(attempt):
            settings = {**settings, "cache": False}
        return {
            "pipeline": self.pipeline,
            "pipeline_file": self.pipeline_file,
            "run_id": self.run_id,
            "node": attempt.node,
            "map_index": list(attempt.map_index) or None,
            "label": attempt.label or None,
            "attempt": attempt.number,
            "step": {
                "module": plan["module"],
                "function": plan["function"],
                "source_roots": self.search,
                "code": plan["code"],
                "imports": plan["imports"],
                "outputs": plan["outputs"],
                "file": plan.get("file"),
                "settings": settings,
                **({"container": plan["container"]} if "container" in plan else {}),
            },
            "inputs": attempt.inputs,
            "sources": attempt.sources,
            "parameters": self.parameters,
            "store": self.store.url,
            "engine": self.engine,
            "git": self.git,
            "project": self.project,
            "secrets": self.secrets,
            **({} if self.spool is None else {"spool": self.local_folder(attempt)}),
        }
