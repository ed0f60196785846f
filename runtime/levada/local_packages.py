"""The packages that a project takes from folders: workspace members and path dependencies.

They are told from ``pyproject.toml`` (uv, Poetry, PDM, PEP 508) and ``requirements.txt`` of the
project, of its workspace and of the packages themselves, and from the editable installs in its
environment. Nothing of them is built or imported.
"""

from __future__ import annotations

import os

from levada import distributions, module_search, pyproject
from levada.regular_files import regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from levada.distributions import Environment

_LAYOUT = "src"
_REQUIREMENTS = "requirements.txt"
#: The files of the tools that install a project's dependencies, and how they do so.
_COMMANDS = {
    "uv.lock": "uv sync",
    "poetry.lock": "poetry install",
    "pdm.lock": "pdm install",
    _REQUIREMENTS: f"pip install -r {_REQUIREMENTS}",
}


class LocalPackage:
    """A package in a folder: its normalised name and its ``pyproject.toml``."""

    __slots__ = ("document", "folder", "name")

    def __init__(
        self, folder: str, name: str = "", document: dict[str, object] | None = None
    ) -> None:
        self.folder = folder
        self.document = _document(folder) if document is None else document
        own = pyproject.table(self.document, "project").get("name")
        own = own or pyproject.table(self.document, "tool", "poetry").get("name")
        self.name = distributions.normalised(str(own or name or os.path.basename(folder)))

    @property
    def import_folders(self) -> list[str]:
        """The folders that its modules are imported from, as its build backend would say."""
        named = [os.path.normpath(os.path.join(self.folder, each)) for each in self._layout()]
        found = [folder for folder in dict.fromkeys(named) if os.path.isdir(folder)]
        source = os.path.join(self.folder, _LAYOUT)
        return found or [source if _has_python(source) else self.folder]

    def _layout(self) -> Iterator[str]:
        tool = pyproject.table(self.document, "tool")
        setuptools = pyproject.table(tool, "setuptools")
        yield from pyproject.texts(list(pyproject.table(setuptools, "package-dir").values()))
        yield from pyproject.texts(pyproject.table(setuptools, "packages", "find").get("where"))
        wheel = pyproject.table(tool, "hatch", "build", "targets", "wheel")
        yield from map(os.path.dirname, pyproject.texts(wheel.get("packages")))
        sources = wheel.get("sources")
        yield from pyproject.texts(list(sources) if isinstance(sources, dict) else sources)
        for each in pyproject.tables(pyproject.table(tool, "poetry").get("packages")):
            yield str(each.get("from", ""))
        named = (
            pyproject.table(tool, "uv", "build-backend").get("module-root"),
            pyproject.table(tool, "pdm", "build").get("package-dir"),
            pyproject.table(tool, "maturin").get("python-source"),
        )
        yield from (each for each in named if isinstance(each, str))


class LocalPackages:
    """The packages that a project takes from folders.

    ``found`` are those that are there. ``missing`` maps the name of each declared one that is
    not there to the folder where it should be. ``consulted`` are the files and folders that this
    was told from, whether they are there or not.
    """

    def __init__(self, root: str, document: dict[str, object]) -> None:
        """Read what the project at ``root`` declares, and what its packages declare in turn.

        ``document`` is its ``pyproject.toml``.
        """
        self.found: dict[str, LocalPackage] = {}
        self.missing: dict[str, str] = {}
        self.consulted: dict[str, None] = {}
        self._folders: dict[tuple[str, ...], list[str]] = {}
        self.root = root
        self.workspace = self._workspace(root)
        pending = [(self.workspace, ""), (root, "")]
        pending += [(member, "") for member in self._members()]
        while pending:
            folder, name = pending.pop(0)
            for file in (pyproject.FILE, _REQUIREMENTS):
                self.consulted[os.path.join(folder, file)] = None
            if folder in self.found:
                continue
            if not os.path.isdir(folder):
                self.missing[distributions.normalised(name)] = folder
                continue
            own = document if folder == root else None
            package = self.found[folder] = LocalPackage(folder, name, own)
            pending += ((path, each) for each, path in _path_dependencies(package))

    def __iter__(self) -> Iterator[LocalPackage]:
        """Yield the packages, those of the project itself and of a virtual workspace left out."""
        for package in self.found.values():
            is_virtual = package.folder == self.workspace and not _is_package(package.document)
            if package.folder != self.root and not is_virtual:
                yield package

    def needed(self) -> list[LocalPackage]:
        """Return the packages that the project requires, directly or through others of them."""
        by_name = {package.name: package for package in self}
        found: dict[str, LocalPackage] = {}
        pending = [package for package in (self.found.get(self.root),) if package is not None]
        while pending:
            package = pending.pop(0)
            names = map(distributions.requirement_name, declared(package.document))
            others = [by_name[name] for name in names if name in by_name]
            others += [self.found[p] for _, p in _path_dependencies(package) if p in self.found]
            for other in others:
                if other.folder not in (self.root, *found):
                    found[other.folder] = other
                    pending.append(other)
        return [found[folder] for folder in sorted(found)]

    def required(self) -> list[str]:
        """Return the names of the distributions that the project needs everywhere, sorted."""
        document = self.found[self.root].document if self.root in self.found else {}
        texts = [
            *pyproject.texts(pyproject.table(document, "project").get("dependencies")),
            *pyproject.table(document, "tool", "poetry", "dependencies"),
            *_requirements_file(self.root),
        ]
        plain = (text for text in texts if text[:1].isalnum() and ";" not in text)
        local = {package.name for package in self}
        return sorted({distributions.requirement_name(text) for text in plain} - local - {"python"})

    @property
    def install_command(self) -> str:
        """The command of the tool that manages the project's environment."""
        for folder in (self.root, self.workspace):
            for file, command in _COMMANDS.items():
                if os.path.isfile(os.path.join(folder, file)):
                    return command
        return "uv sync"

    def folders(self, environment: Environment) -> list[str]:
        """Return the folders that their modules are imported from, editable installs last."""
        if environment.folders not in self._folders:
            self._folders[environment.folders] = self._find_folders(environment)
        return self._folders[environment.folders]

    def _find_folders(self, environment: Environment) -> list[str]:
        own = self.found[self.root].import_folders if self.root in self.found else []
        found = [*own, *(folder for package in self for folder in package.import_folders)]
        found += _editable_folders(environment)
        self.consulted.update(dict.fromkeys((*environment.links(), *environment.folders)))
        return [
            folder
            for folder in dict.fromkeys(found)
            if module_search.holder(environment.folders, folder + os.sep) is None
        ]

    def _workspace(self, root: str) -> str:
        """Return the folder of the uv workspace that the project is a member of, else its own."""
        folder = root
        while True:
            self.consulted[os.path.join(folder, pyproject.FILE)] = None
            members = _members(folder)
            if members is not None:
                return folder if folder == root or root in members else root
            parent = os.path.dirname(folder)
            if parent == folder:
                return root
            folder = parent

    def _members(self) -> list[str]:
        members = _members(self.workspace) or []
        self.consulted.update(dict.fromkeys(map(os.path.dirname, members)))
        return members


def _document(folder: str) -> dict[str, object]:
    """Return a folder's ``pyproject.toml``; one that cannot be read is reported for the root."""
    try:
        return pyproject.read(os.path.join(folder, pyproject.FILE))
    except pyproject.ProjectError:
        return {}


def _is_package(document: dict[str, object]) -> bool:
    return bool(document.get("project") or pyproject.table(document, "tool", "poetry"))


def _has_python(folder: str) -> bool:
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return any(name.endswith(".py") or os.path.isdir(f"{folder}/{name}") for name in names)


def _members(folder: str) -> list[str] | None:
    """Return the members of the uv workspace whose root is ``folder``, None if it is not one."""
    path = os.path.join(folder, pyproject.FILE)
    try:
        with open(path, "rb", opener=regular) as file:
            if b"workspace" not in file.read():  # parsing costs more, on each way up
                return None
    except OSError:
        return None
    document = _document(folder)
    if "workspace" not in pyproject.table(document, "tool", "uv"):
        return None
    workspace = pyproject.table(document, "tool", "uv", "workspace")
    members = _matching(folder, pyproject.texts(workspace.get("members")))
    excluded = set(_matching(folder, pyproject.texts(workspace.get("exclude"))))
    return [member for member in members if member not in excluded]


def _matching(folder: str, patterns: Iterable[str]) -> list[str]:
    import glob

    found = {
        os.path.normpath(path)
        for pattern in patterns
        for path in glob.glob(os.path.join(glob.escape(folder), pattern), recursive=True)
    }
    return sorted(path for path in found if os.path.isfile(os.path.join(path, pyproject.FILE)))


# ---------------------------------------------------------------------------- path dependencies


def _path_dependencies(package: LocalPackage) -> Iterator[tuple[str, str]]:
    """Yield the names and the folders of a package's path dependencies."""
    for name, path in (*_of_tables(package.document), *_of_texts(package)):
        place = os.path.normpath(os.path.join(package.folder, os.path.expanduser(path)))
        if not os.path.isfile(place):  # a wheel or an archive
            yield name, place


def _of_tables(document: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield those of uv's sources and of Poetry's dependencies: ``name = { path = "…" }``."""
    poetry = pyproject.table(document, "tool", "poetry")
    groups = pyproject.table(poetry, "group")
    tables = (
        pyproject.table(document, "tool", "uv", "sources"),
        pyproject.table(poetry, "dependencies"),
        pyproject.table(poetry, "dev-dependencies"),
        *(pyproject.table(groups, name, "dependencies") for name in groups),
    )
    for table in tables:
        for name, value in table.items():
            for each in value if isinstance(value, list) else [value]:
                path = pyproject.table(each).get("path")
                if isinstance(path, str):
                    yield name, path


def _of_texts(package: LocalPackage) -> Iterator[tuple[str, str]]:
    """Yield those that are written as requirements: ``name @ file:///…``, ``-e ../name``."""
    for text in (*declared(package.document), *_requirements_file(package.folder)):
        name, _, place = text.partition("@")
        editable, _, rest = text.partition(" ")
        if editable in ("-e", "--editable"):
            name, place = "", rest
        elif text.startswith(("./", "../")):
            name, place = "", text
        elif not place:
            continue
        path = _path(place.partition(";")[0].strip(), package.folder)
        if path is not None:
            yield name.partition("[")[0].strip() or os.path.basename(path), path


def _path(place: str, folder: str) -> str | None:
    """Return the path that a reference names, None for what is elsewhere."""
    place = place.partition("#")[0].replace("{root:uri}", ".").replace("${PROJECT_ROOT}", folder)
    if place.startswith("file:"):
        return distributions.folder_of_url(place)
    if "://" in place or place.startswith("git+") or not place:
        return None
    return place.partition("[")[0]


def declared(document: dict[str, object]) -> list[str]:
    """Return the requirements of a document as text: dependencies, extras and groups."""
    project = pyproject.table(document, "project")
    optional = pyproject.table(project, "optional-dependencies")
    lists = [
        project.get("dependencies"),
        *optional.values(),
        *pyproject.table(document, "dependency-groups").values(),
        *pyproject.table(document, "tool", "pdm", "dev-dependencies").values(),
    ]
    return [text for each in lists for text in pyproject.texts(each)]


def _requirements_file(folder: str) -> list[str]:
    try:
        with open(os.path.join(folder, _REQUIREMENTS), encoding="utf-8", opener=regular) as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line.strip() for line in lines]


# ---------------------------------------------------------------------------- editable installs


def _editable_folders(environment: Environment) -> Iterator[str]:
    """Yield the folders of editable installs, of those without a link by their layout."""
    linked = environment.linked()
    for distribution in environment.distributions.values():
        folder = distribution.editable
        if folder and not any(f"{link}/".startswith(f"{folder}/") for link in linked):
            yield from LocalPackage(folder, distribution.name).import_folders
    yield from linked
