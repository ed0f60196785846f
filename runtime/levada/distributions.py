"""The distributions that are installed in an environment, and whose a module is.

Everything is read from files: the names of ``*.dist-info`` folders, their METADATA, RECORD and
``direct_url.json`` (PyPA's "Recording installed projects"), and what editable installs leave in
``site-packages``. Nothing is imported: importlib.metadata alone would take 40 ms.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from levada import module_search
from levada.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypedDict

    class DirectoryInfo(TypedDict, total=False):
        """Of a folder that a distribution was installed from."""

        editable: bool

    class VersionInfo(TypedDict, total=False):
        """Of a repository that a distribution was installed from."""

        commit_id: str

    class DirectUrl(TypedDict, total=False):
        """``direct_url.json``: where a distribution comes from that is of no index.

        https://packaging.python.org/en/latest/specifications/direct-url/
        """

        url: str
        dir_info: DirectoryInfo
        vcs_info: VersionInfo


_ENDINGS = (".dist-info", ".egg-info")
#: What setuptools writes for an editable install whose packages cannot be linked by a ``.pth``.
_FINDER = ("__editable__", "_finder.py")
#: How the file of a module without source ends, up to the tag of the interpreter.
_COMPILED = (".pyc", ".so", ".pyd")


class Distribution:
    """An installed distribution: its normalised name, its version and its metadata folder."""

    __slots__ = ("_record", "folder", "name", "version")

    def __init__(self, name: str, version: str, folder: str) -> None:
        self.name = name
        self.version = version
        self.folder = folder
        self._record: str | None = None

    def requires(self) -> list[str]:
        """Return the normalised names that it requires, those of its extras left out."""
        head = _read(f"{self.folder}/METADATA").partition("\n\n")[0]
        lines = (line for line in head.splitlines() if line.startswith("Requires-Dist:"))
        plain = (line for line in lines if "extra ==" not in line and "extra==" not in line)
        return [requirement_name(line.removeprefix("Requires-Dist:")) for line in plain]

    def provides(self, path: str) -> bool:
        """Whether it installed the module or package at a path such as ``google/cloud``."""
        return any(f"\n{path}{end}" in self.record for end in ("/", ".py", ".cpython", ".abi3"))

    def has(self, file: str) -> bool:
        """Whether it installed the file at a POSIX path below ``site-packages``."""
        return f"\n{file}," in self.record

    def sources(self) -> list[str]:
        """Return the Python files that it installed, below ``site-packages``, sorted."""
        files = (line.partition(",")[0] for line in self.record.splitlines())
        return sorted(file for file in files if file.endswith(".py") and ".." not in file)

    @property
    def record(self) -> str:
        """The text of RECORD after a newline, so that every line follows one."""
        if self._record is None:
            self._record = "\n" + _read(f"{self.folder}/RECORD")
        return self._record

    @property
    def editable(self) -> str | None:
        """The folder that an editable install links, None for any other."""
        origin = self._origin('"editable"')
        is_editable = origin.get("dir_info", {}).get("editable")
        return folder_of_url(str(origin.get("url", ""))) if is_editable else None

    @property
    def commit(self) -> str:
        """The commit of a repository that it was installed from, empty for any other."""
        return str(self._origin('"commit_id"').get("vcs_info", {}).get("commit_id", ""))

    @property
    def files_digest(self) -> str:
        """The digest (64 hexadecimal digits) of what was installed from a folder or a local file.

        It is that of the digests in RECORD. Empty for a distribution from an index or a repository,
        and for an editable one: its files are code of the project (``levada.local_packages``).
        """
        origin = self._origin('"url"')
        is_local = folder_of_url(str(origin.get("url", ""))) is not None
        if not is_local or "vcs_info" in origin or self.editable is not None:
            return ""
        lines = sorted(line for line in self.record.splitlines() if ".dist-info/" not in line)
        digest = sha256("\n".join(lines).encode("utf-8", "surrogateescape"))
        return str(digest.hexdigest())

    def _origin(self, word: str) -> DirectUrl:
        """Return ``direct_url.json``, empty if it is not there or does not have this word."""
        place = f"{self.folder}/direct_url.json"
        text = _read(place) if os.path.isfile(place) else ""
        if word not in text:
            return {}
        import json

        try:
            origin: DirectUrl = json.loads(text)
        except ValueError:
            return {}
        return origin if isinstance(origin, dict) else {}


class Environment:
    """The folders that distributions are installed in (``…/site-packages``, absolute paths)."""

    __slots__ = ("_distributions", "_holders", "_owners", "folders")

    def __init__(self, folders: Iterable[str]) -> None:
        self.folders = tuple(dict.fromkeys(os.path.abspath(folder) for folder in folders))
        self._distributions: dict[str, Distribution] | None = None
        self._owners: dict[str, Distribution | None] = {}
        self._holders: dict[str, str | None] = {}

    @property
    def distributions(self) -> dict[str, Distribution]:
        """The installed distributions by their normalised names."""
        if self._distributions is None:
            self._distributions = _installed(self.folders)
        return self._distributions

    def locate(self, dotted: str) -> str | None:
        """Find the source of an installed module: the path of its file, or None."""
        found = module_search.find(self.folders, dotted)
        return found if found is not None and found.endswith(".py") else None

    def has(self, dotted: str) -> bool:
        """Whether a module is installed, in whatever form."""
        *packages, last = dotted.split(".")
        folders = list(self.folders)
        for name in packages:
            folders = [f"{folder}/{name}" for folder in folders]
        return any(_has_module(folder, last) for folder in folders)

    def holder(self, path: str) -> str | None:
        """Return the folder that holds ``path``, None for what is not installed."""
        if path not in self._holders:
            self._holders[path] = module_search.holder(self.folders, path)
        return self._holders[path]

    def owner(self, path: str) -> Distribution | None:
        """Return the distribution that installed the file at ``path``."""
        if path not in self._owners:
            self._owners[path] = self._find_owner(path)
        return self._owners[path]

    def _find_owner(self, path: str) -> Distribution | None:
        folder = self.holder(path)
        if folder is None:
            return None
        file = os.path.relpath(path, folder).replace(os.sep, "/")
        known = self.distributions
        likely = known.get(normalised(file.partition("/")[0].removesuffix(".py")))
        ordered = [likely, *known.values()] if likely else known.values()
        return next((each for each in ordered if each.has(file)), None)

    def share_distribution(self, path: str, other: str) -> bool:
        """Whether two installed files are of one distribution; without RECORD, of one package."""
        owner = self.owner(path)
        if owner is not None:
            return owner is self.owner(other)
        return self.owner(other) is None and self._top(path) == self._top(other)

    def sources(self, path: str) -> list[str]:
        """Return the Python files of the distribution that the file at ``path`` is of, sorted.

        They are paths below the environment's folder. Without RECORD they are those of the package.
        """
        owner, folder = self.owner(path), self.holder(path)
        if owner is not None or folder is None:
            return owner.sources() if owner is not None else []
        top = os.path.join(folder, self._top(path))
        found = [top] if os.path.isfile(top) else _python_files(top)
        return sorted(os.path.relpath(file, folder).replace(os.sep, "/") for file in found)

    def _top(self, path: str) -> str:
        folder = self.holder(path)
        return os.path.relpath(path, folder).split(os.sep)[0] if folder else ""

    def links(self) -> list[str]:
        """Return the files that say which folders are linked into the environment, sorted."""
        return [
            os.path.join(folder, name)
            for folder in self.folders
            for name in sorted(_names(folder))
            if name.endswith(".pth") or (name.startswith(_FINDER[0]) and name.endswith(_FINDER[1]))
        ]

    def linked(self) -> list[str]:
        """Return the folders that editable installs put on ``sys.path``, as far as files say so."""
        found: dict[str, None] = {}
        for file in self.links():
            read = _linked_by_pth if file.endswith(".pth") else _linked_by_finder
            found.update(dict.fromkeys(read(file)))
        return [folder for folder in found if os.path.isdir(folder) and folder not in self.folders]


def of_project(*roots: str) -> Environment:
    """Find the environment of a project: that of ``VIRTUAL_ENV``, else a ``.venv`` at its root.

    ``roots`` are the project's folder and that of its workspace. Without either it is the
    environment of the running interpreter.
    """
    active = os.environ.get("VIRTUAL_ENV")
    for place in (active, *(os.path.join(root, ".venv") for root in roots)):
        folders = _site_packages(place) if place else []
        if folders:
            return Environment(folders)
    return of_interpreter()


def of_interpreter() -> Environment:
    """Return the environment of the running interpreter."""
    return Environment(
        folder
        for folder in sys.path
        if os.path.basename(folder) in ("site-packages", "dist-packages")
        or (folder and any(name.endswith(".dist-info") for name in _names(folder)))
    )


def _site_packages(place: str) -> list[str]:
    library = os.path.join(place, "lib")
    versions = sorted(name for name in _names(library) if name.startswith("python"))
    found = (os.path.join(library, name, "site-packages") for name in versions)
    return [folder for folder in found if os.path.isdir(folder)]


@lru_cache(maxsize=8)
def installed(path: tuple[str, ...]) -> dict[str, Distribution]:
    """Find the distributions on a ``sys.path``; the first of a name counts, as on import."""
    return _installed(path)


def _installed(path: tuple[str, ...]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for folder in path:
        for entry in sorted(_names(folder or ".")):
            if entry.endswith(_ENDINGS):
                name, version = _split(entry)
                distribution = Distribution(name, version, f"{folder or '.'}/{entry}")
                found.setdefault(name, distribution)
    return found


def requirement_name(requirement: str) -> str:
    """Return the normalised name in a requirement such as ``Scikit_Learn[extra]>=1.4; …``."""
    name = ""
    for character in requirement.strip():
        if not (character.isalnum() or character in "-_."):
            break
        name += character
    return normalised(name)


def normalised(name: str) -> str:
    """Return a distribution's name as PyPI compares it."""
    words = name.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(word for word in words if word)


def folder_of_url(url: str) -> str | None:
    """Return the path that a ``file:`` URL names, None for any other URL."""
    if not url.startswith("file:"):
        return None
    path = url.removeprefix("file:").partition("#")[0]
    if path.startswith("//"):
        path = "/" + path[2:].partition("/")[2]  # without the host, which is empty or this one
    return os.path.normpath("/" + _unquoted(path).lstrip("/"))


def _unquoted(text: str) -> str:
    """Replace ``%20`` and its like; urllib.parse takes 5 ms to import."""
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    parts = [first]
    for each in rest:
        try:
            parts.append(bytes.fromhex(each[:2].decode()) + each[2:])
        except ValueError:  # a percent sign that is one
            parts.append(b"%" + each)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _split(entry: str) -> tuple[str, str]:
    stem = entry.rpartition(".")[0]
    name, _, version = stem.partition("-")
    return normalised(name), version.partition("-")[0]


def _has_module(folder: str, name: str) -> bool:
    """Whether a folder has a module: its source, a package, or what is compiled from it."""
    if os.path.isfile(f"{folder}/{name}.py") or os.path.isdir(f"{folder}/{name}"):
        return True
    start = f"{name}."
    return any(each.startswith(start) and each.endswith(_COMPILED) for each in _names(folder))


def _python_files(folder: str) -> Iterator[str]:
    for at, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".py"):
                yield os.path.join(at, name)


def _linked_by_pth(file: str) -> Iterator[str]:
    """Yield the folders that the lines of a ``.pth`` file name; others are code or comments."""
    for line in _read(file).splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")):
            yield os.path.normpath(os.path.join(os.path.dirname(file), line.strip()))


def _linked_by_finder(file: str) -> Iterator[str]:
    """Yield the folders from which a finder of setuptools brings modules under their own names.

    Its tables are literals: ``MAPPING`` has the path of each module, ``NAMESPACES`` those of each
    namespace package. A module that has another name than its file cannot be found by a folder.
    """
    import ast

    try:
        body = ast.parse(_read(file)).body
    except (SyntaxError, ValueError):
        return
    for statement in body:
        targets = [*getattr(statement, "targets", ()), getattr(statement, "target", None)]
        if any(getattr(each, "id", "") in ("MAPPING", "NAMESPACES") for each in targets):
            try:
                yield from _linked_by_table(ast.literal_eval(statement.value))  # type: ignore[attr-defined]
            except (ValueError, AttributeError, TypeError):
                continue


def _linked_by_table(table: dict[str, str | list[str]]) -> Iterator[str]:
    for name, paths in table.items():
        place = "/" + name.replace(".", "/")
        for path in [paths] if isinstance(paths, str) else paths:
            if path.removesuffix(".py").endswith(place):
                yield os.path.normpath(path.removesuffix(".py").removesuffix(place))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder) if os.path.isdir(folder) else []
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
