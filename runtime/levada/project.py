"""Where a module belongs: its project, its import root, and the modules beside it.

The runtime, the compiler and the command line ask here, so that all of them see the same
project. Nothing is imported or executed: everything is told from the names of files.
"""

from __future__ import annotations

import os
import sys

from levada import module_search, pyproject
from levada.pyproject import ProjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from levada.distributions import Environment
    from levada.local_packages import LocalPackages

__all__ = ["Project", "ProjectError", "find"]

#: The folder that files of installed distributions are said to be in.
_INSTALLED = "site-packages"
#: What marks the root of a project.
_MARKERS = ("pyproject.toml", ".git")


class Project:
    """A project as seen from one of its modules. Paths are absolute unless said otherwise.

    ``file`` is the module's POSIX path relative to ``root``. ``search`` holds the folders that
    local imports are looked for in, in order; they are put in front of ``sys.path`` to run a step.
    """

    __slots__ = (
        "_document",
        "_environment",
        "_first",
        "_located",
        "_others",
        "_packages",
        "_relative",
        "_takes_packages",
        "_used",
        "file",
        "import_root",
        "root",
        "search",
    )

    def __init__(
        self,
        root: str,
        search: Iterable[str],
        file: str = "",
        *,
        takes_packages: bool = False,
        first: Project | None = None,
    ) -> None:
        """Make the project at ``root`` whose modules are imported from ``search``, in order.

        With ``takes_packages`` the packages that it takes from folders are looked for too, and
        distributions in the project's environment. Else ``search`` has all folders, and the
        environment is that of the running interpreter: so it is where a step is run.

        ``first`` is the same project as seen from another of its modules. What does not depend on
        the module is taken from it, so that it is read once: the settings, the packages, the
        environment.
        """
        self.root = os.path.abspath(root)
        self._relative: dict[str, str] = {}
        self.search = tuple(dict.fromkeys(os.path.abspath(folder) for folder in search))
        self.import_root = self.search[0] if self.search else self.root
        self._document: dict[str, object] | None = None
        self._located: dict[str, str | None] = {}
        self._environment: Environment | None = None
        self._first = first
        self._takes_packages = takes_packages
        self._packages: LocalPackages | None = None
        self._others: list[str] | None = None
        self._used: set[str] = set()
        self.file = self.relative(file) if file else ""

    # ---------------------------------------------------------------- names of files

    def relative(self, path: str) -> str:
        """Return ``path`` as a POSIX path relative to the root (``"."`` for the root itself).

        A file of an installed distribution is ``site-packages/…``, wherever the environment is.
        """
        if path not in self._relative:
            whole = os.path.abspath(path)
            folder = self._environment_folder(whole + os.sep)
            own = os.path.relpath(whole, folder or self.root).replace(os.sep, "/")
            self._relative[path] = f"{_INSTALLED}/{own}".removesuffix("/.") if folder else own
        return self._relative[path]

    def absolute(self, file: str) -> str:
        """Return the path of a file that :meth:`relative` named."""
        first, _, rest = file.partition("/")
        for folder in self.environment.folders if first == _INSTALLED else ():
            if os.path.exists(os.path.join(folder, rest)):
                return os.path.join(folder, *rest.split("/"))
        return os.path.abspath(os.path.join(self.root, *file.split("/")))

    def has_file(self, name: str) -> bool:
        """Whether there is a file at a POSIX path relative to the root."""
        return os.path.isfile(os.path.join(self.root, *name.split("/")))

    def source_root(self, path: str) -> str:
        """Return the folder that the module in ``path`` is imported from."""
        path = os.path.abspath(path)
        found = self._environment_folder(path) or module_search.holder(self._folders(), path)
        return found or _import_root(path, self.root)

    def module_name(self, path: str) -> str:
        """Return the dotted name under which the module in ``path`` is imported."""
        path = os.path.abspath(path)
        stem = os.path.splitext(os.path.relpath(path, self.source_root(path)))[0]
        parts = stem.split(os.sep)
        if parts[-1] == "__init__" and len(parts) > 1:
            parts.pop()
        return ".".join(parts)

    # ---------------------------------------------------------------- modules

    def locate(self, dotted: str) -> str | None:
        """Find the local module ``dotted``, as Python's import system would.

        It is one of the project, or else of a package that the project takes from a folder.
        Returns the path of its file (that of ``__init__.py`` for a package), the folder of a
        namespace package, or None for what is not local.
        """
        if dotted not in self._located:
            self._located[dotted] = self._find(dotted)
        return self._located[dotted]

    def locate_for(self, importer: str, dotted: str) -> str | None:
        """Find the module ``dotted`` where the module in ``importer`` imports it.

        To a module of an installed distribution the others of the same one are local too.
        """
        found = self.locate(dotted)
        if (found is None or not found.endswith(".py")) and self.is_installed(importer):
            other = module_search.find(self.environment.folders, dotted)
            if other is not None and self.environment.share_distribution(importer, other):
                return other
        return found

    def is_installed(self, path: str) -> bool:
        """Whether the file at ``path`` is one of an installed distribution."""
        return self._environment_folder(path) is not None

    def is_own(self, path: str) -> bool:
        """Whether a module is one of the project itself, and not of a package that it takes."""
        return self.source_root(path) in self.search

    @property
    def environment(self) -> Environment:
        """The environment in which distributions are looked for."""
        if self._environment is None and self._first is not None:
            self._environment = self._first.environment
        if self._environment is None:
            from levada import distributions

            packages = self.packages
            self._environment = (
                distributions.of_interpreter()
                if packages is None
                else distributions.of_project(self.root, packages.workspace)
            )
        return self._environment

    @property
    def packages(self) -> LocalPackages | None:
        """The packages that the project takes from folders; None if ``search`` has them all."""
        if self._packages is None and self._first is not None:
            self._packages = self._first.packages
        if self._packages is None and self._takes_packages:
            from levada.local_packages import LocalPackages

            try:
                document = self.document
            except ProjectError:  # whoever asks for the settings reports it
                document = {}
            self._packages = LocalPackages(self.root, document)
        return self._packages

    @property
    def used_search(self) -> tuple[str, ...]:
        """The search folders, with those of packages that modules were found in."""
        return (*self.search, *(folder for folder in self._others or () if folder in self._used))

    @property
    def consulted(self) -> tuple[str, ...]:
        """What has decided so far what imports mean outside of ``search``: files and folders."""
        packages = self._packages
        if packages is None:
            return ()
        environments = (os.path.join(each, ".venv") for each in (self.root, packages.workspace))
        return tuple(dict.fromkeys((*packages.consulted, *(self._others or ()), *environments)))

    def _find(self, dotted: str) -> str | None:
        found = module_search.find(self.search, dotted)
        top = dotted.partition(".")[0]
        if (found and found.endswith(".py")) or top in sys.stdlib_module_names or top == "levada":
            return found
        others = self._other_folders()
        wide = module_search.find((*self.search, *others), dotted) if others else found
        if wide is None or wide == found:
            return found
        if wide.endswith(".py"):
            self._used.add(module_search.holder(others, wide) or "")
        elif self.environment.locate(dotted):
            return found
        return wide

    def _other_folders(self) -> list[str]:
        """The folders of packages, which are looked for when a module is not in the project."""
        if self._others is None:
            packages = self.packages
            found = packages.folders(self.environment) if packages is not None else ()
            self._others = [folder for folder in found if folder not in self.search]
        return self._others

    def _folders(self) -> tuple[str, ...]:
        return (*self.search, *(self._others or ()))

    def _environment_folder(self, path: str) -> str | None:
        """The folder of distributions that holds ``path``; None for what is in the project."""
        if self._environment is None:
            return None
        found = self._environment.holder(path)
        if found is None:
            return None
        own = module_search.holder(self._folders(), path)
        return None if len(own or "") > len(found) else found

    # ---------------------------------------------------------------- settings

    @property
    def document(self) -> dict[str, object]:
        """The project's ``pyproject.toml``, empty without one. Raises ProjectError."""
        if self._document is None and self._first is not None:
            self._document = self._first.document
        if self._document is None:
            self._document = pyproject.read(os.path.join(self.root, pyproject.FILE))
        return self._document

    @property
    def settings(self) -> dict[str, object]:
        """The table ``[tool.levada]`` of the project's ``pyproject.toml``, empty without one.

        Raises ProjectError if the file is not valid TOML, or if the table is not a table.
        """
        settings = pyproject.table(self.document, "tool").get("levada", {})
        if not isinstance(settings, dict):
            raise ProjectError(
                "`tool.levada` has to be a table", os.path.join(self.root, pyproject.FILE)
            )
        return settings

    @property
    def store_url(self) -> str:
        """The place of the project's store: ``LEVADA_STORE``, else the setting ``store``.

        Without either it is ``.levada`` at the root. Raises ProjectError if the setting is no text.
        """
        if os.environ.get("LEVADA_STORE"):
            return os.environ["LEVADA_STORE"]
        setting = self.settings.get("store", ".levada")
        if not isinstance(setting, str):
            raise ProjectError(
                "[tool.levada] store must be a string",
                os.path.join(self.root, pyproject.FILE),
            )
        return setting if "://" in setting else os.path.join(self.root, setting)


def find(file: str, known: dict[str, Project] | None = None) -> Project:
    """Find the project of a module, which need not exist.

    The root is the nearest folder above it with a ``pyproject.toml`` or ``.git``, else the
    module's own folder. The import root is the nearest one without ``__init__.py``, and not
    above the root. Modules of the packages that the project takes from folders are local too.

    ``known`` holds the first project that was found for each root. Give the same dict for several
    modules, and their projects read settings, packages and the environment once.
    """
    path = os.path.abspath(file)
    root = _project_root(path)
    search = (_import_root(path, root), root, os.path.join(root, "src"))
    if known is None:
        return Project(root, search, path, takes_packages=True)
    first = known.get(root)
    if first is None:
        first = known[root] = Project(root, search, takes_packages=True)
    return Project(root, search, path, takes_packages=True, first=first)


def _project_root(path: str) -> str:
    own = folder = os.path.dirname(path)
    while not any(os.path.exists(os.path.join(folder, marker)) for marker in _MARKERS):
        parent = os.path.dirname(folder)
        if parent == folder:
            return own
        folder = parent
    return folder


def _import_root(path: str, root: str) -> str:
    folder = os.path.dirname(path)
    while os.path.isfile(os.path.join(folder, "__init__.py")) and folder != root:
        parent = os.path.dirname(folder)
        if parent == folder:
            break
        folder = parent
    return folder
