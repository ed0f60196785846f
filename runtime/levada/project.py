"""Where a module belongs: its project, its import root, and the modules beside it.

The runtime, the compiler and the command line ask here, so that all of them see the same
project. Nothing is imported or executed: everything is told from the names of files.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: What marks the root of a project.
_MARKERS = ("pyproject.toml", ".git")


class ProjectError(Exception):
    """A ``pyproject.toml`` that cannot be read. ``line`` counts from 1, 0 where it is unknown."""

    def __init__(self, message: str, file: str, line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.message = message
        self.file = file
        self.line = line


class Project:
    """A project as seen from one of its modules. Paths are absolute unless said otherwise.

    ``file`` is the module's POSIX path relative to ``root``. ``search`` holds the folders that
    local imports are looked for in, in order; they are put in front of ``sys.path`` to run a step.
    """

    __slots__ = ("_located", "_relative", "_settings", "file", "import_root", "root", "search")

    def __init__(self, root: str, search: Iterable[str], file: str = "") -> None:
        """Make the project at ``root`` whose modules are imported from ``search``, in order."""
        self.root = os.path.abspath(root)
        self._relative: dict[str, str] = {}
        self.search = tuple(dict.fromkeys(os.path.abspath(folder) for folder in search))
        self.import_root = self.search[0] if self.search else self.root
        self.file = self.relative(file) if file else ""
        self._settings: dict[str, object] | None = None
        self._located: dict[str, str | None] = {}

    def relative(self, path: str) -> str:
        """Return ``path`` as a POSIX path relative to the root (``"."`` for the root itself)."""
        if path not in self._relative:
            own = os.path.relpath(os.path.abspath(path), self.root)
            self._relative[path] = own.replace(os.sep, "/")
        return self._relative[path]

    def source_root(self, path: str) -> str:
        """Return the folder that the module in ``path`` is imported from."""
        path = os.path.abspath(path)
        holders = [folder for folder in self.search if _holds(folder, path)]
        return max(holders, key=len) if holders else _import_root(path, self.root)

    def module_name(self, path: str) -> str:
        """Return the dotted name under which the module in ``path`` is imported."""
        path = os.path.abspath(path)
        stem = os.path.splitext(os.path.relpath(path, self.source_root(path)))[0]
        parts = stem.split(os.sep)
        if parts[-1] == "__init__" and len(parts) > 1:
            parts.pop()
        return ".".join(parts)

    def locate(self, dotted: str) -> str | None:
        """Find the local module ``dotted``, as Python's import system would.

        Returns the path of its file (that of ``__init__.py`` for a package), the folder of a
        namespace package, or None for what is not in the project.
        """
        if dotted not in self._located:
            self._located[dotted] = self._find(dotted)
        return self._located[dotted]

    def _find(self, dotted: str) -> str | None:
        folders: list[str] = list(self.search)
        *packages, last = dotted.split(".")
        for name in packages:
            folders = _package_folders(folders, name)
        return _module(folders, last)

    @property
    def settings(self) -> dict[str, object]:
        """The table ``[tool.levada]`` of the project's ``pyproject.toml``, empty without one.

        Raises ProjectError if the file is not valid TOML, or if the table is not a table.
        """
        if self._settings is None:
            self._settings = _read_settings(os.path.join(self.root, "pyproject.toml"))
        return self._settings


def find(file: str) -> Project:
    """Find the project of a module, which need not exist.

    The root is the nearest folder above it with a ``pyproject.toml`` or ``.git``, else the
    module's own folder. The import root is the nearest one without ``__init__.py``, and not
    above the root.
    """
    path = os.path.abspath(file)
    root = _project_root(path)
    return Project(root, (_import_root(path, root), root, os.path.join(root, "src")), path)


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


def _holds(folder: str, path: str) -> bool:
    return path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)


def _package_folders(folders: list[str], name: str) -> list[str]:
    """Return the folders of the package ``name``: one, or all portions of a namespace package."""
    portions = []
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(os.path.join(path, "__init__.py")):
            return [path]
        if os.path.isfile(path + ".py"):
            return []
        if os.path.isdir(path):
            portions.append(path)
    return portions


def _module(folders: list[str], name: str) -> str | None:
    portion = None
    for folder in folders:
        path = os.path.join(folder, name)
        for candidate in (os.path.join(path, "__init__.py"), path + ".py"):
            if name and os.path.isfile(candidate):
                return candidate
        if name and portion is None and os.path.isdir(path):
            portion = path
    return portion


def _read_settings(path: str) -> dict[str, object]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProjectError(error.strerror or str(error), path) from error
    return _levada_table(_parse_toml(content, path), path) if content else {}


def _parse_toml(content: bytes, path: str) -> dict[str, object]:
    import tomllib  # 10 ms, so not before there is something to read

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise ProjectError("this is not UTF-8 text", path) from error
    except tomllib.TOMLDecodeError as error:
        message, line = _place(str(error), path)
        raise ProjectError(message, path, line) from error


def _levada_table(table: dict[str, object], path: str) -> dict[str, object]:
    tool = table.get("tool", {})
    settings = tool.get("levada", {}) if isinstance(tool, dict) else {}
    if not isinstance(settings, dict):
        raise ProjectError("`tool.levada` has to be a table", path)
    return settings


def _place(message: str, path: str) -> tuple[str, int]:
    """Split tomllib's ``… (at line 3, column 4)`` (or ``(at end of document)``)."""
    text, _, place = message.partition(" (at ")
    words = place.replace(",", " ").rstrip(")").split()
    if words[:1] == ["line"]:
        return text, int(words[1])
    with open(path, "rb") as file:
        return text, max(1, len(file.read().splitlines()))
