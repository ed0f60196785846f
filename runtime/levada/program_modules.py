"""Decides which modules may be imported to load a value: those that the pipeline's file imports.

Loading a value imports the module of its class. Whoever can write to the store could otherwise have
any script of the project run, or a file that they have put into the store.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext

from levada.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from levada.project import Project
    from levada.store import Store


class ProgramModules:
    """The modules that the file of a pipeline imports, and those that these import.

    An import within a function counts as well. Where the file is not at hand, as in an image that
    has only what its steps need, all modules of the project are of the program.
    """

    def __init__(
        self,
        project: Project,
        store: Store,
        pipeline_file: str | None,
        unobserved: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Take the project, and the pipeline's POSIX path relative to its root.

        Modules are read within ``unobserved``, for a step does not depend on what is read here.
        Raises StoreError if modules are imported from the store's folder or below it.
        """
        self._project = project
        self._file = pipeline_file and project.absolute(pipeline_file)
        self._store = _folder(store)
        self._unobserved = unobserved
        self._reached: set[str] | None = None
        for folder in (*project.search, *sys.path):
            if self._store and _is_in(folder or ".", self._store):
                raise StoreError(
                    f"modules are imported from {folder}, which is in the store at {self._store}:"
                    " whoever writes to the store would have code run; use another folder as the"
                    " store"
                )

    def __contains__(self, module: object) -> bool:
        path = self._project.locate(str(module))
        if path is None or not os.path.isfile(path):
            return False
        if self._store and _is_in(path, self._store):
            return False
        if not self._file or not os.path.isfile(self._file):
            return True
        if self._reached is None:
            with self._unobserved():
                self._reached = self._find(self._file)
        return os.path.abspath(path) in self._reached

    def _find(self, file: str) -> set[str]:
        from levada.code import Code

        code = Code(self._project)
        found = {os.path.abspath(file)}
        pending = list(found)
        while pending:
            try:
                imported = code.imports(pending.pop())
            except (OSError, SyntaxError):  # importing it says what is wrong
                continue
            pending += [path for path in imported if path not in found]
            found.update(imported)
        return found


def _folder(store: Store) -> str | None:
    """Return the store's folder, its links followed; None if it is not one of this machine."""
    root = getattr(store, "root", None)
    return None if root is None else os.path.realpath(root)


def _is_in(path: str, folder: str) -> bool:
    return f"{os.path.realpath(path)}/".startswith(f"{folder.rstrip('/')}/")
