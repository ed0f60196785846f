"""Which pipelines a command is about: files, folders, globs, or those of the project's settings."""

from __future__ import annotations

import os

from levada_compiler.slotted import dataclass
from levada_compiler.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from levada.project import Project

#: Folders that hold what others wrote: packages, caches.
_NOT_OURS = frozenset(("__pycache__", "node_modules", "site-packages"))
#: What marks a virtual environment.
_ENVIRONMENT = "pyvenv.cfg"
_SUFFIX = ".py"
_SETTING = "[tool.levada] pipelines in pyproject.toml"


@dataclass(frozen=True, slots=True)
class Selected:
    """A file, or one pipeline of it.

    ``is_named`` is false for what a folder, a glob or the settings have brought: such a file may
    have no pipeline in it.
    """

    path: str
    pipeline: str | None = None
    is_named: bool = True

    @property
    def reference(self) -> tuple[str, str | None]:
        """The file and the pipeline, as the compiler takes them."""
        return self.path, self.pipeline


@dataclass(frozen=True, slots=True)
class Selection:
    """The files that were asked for, in the order in which they are compiled.

    ``is_one`` says that a single file was named, and nothing else. ``project`` is that of the
    current folder where nothing was named, so that its settings have chosen; and that of a folder
    which was named and has no file.
    """

    files: tuple[Selected, ...]
    is_one: bool = False
    project: Project | None = None


def select(
    references: Sequence[tuple[str, str | None]], *, may_be_empty: bool = False
) -> Selection:
    """Return the files that ``references`` name; without any those of the project's settings.

    Each is a file, a file with one of its pipelines, a folder or a glob (``flows/**/*.py``). With
    ``may_be_empty`` the project's settings may match nothing, and a folder may have no file: the
    last pipeline was removed.

    Raises:
        UsageError: there is nothing in a folder, nothing matches a glob, or nothing was named and
            the project does not say which pipelines it has.
    """
    if not references:
        return _of_project(may_be_empty=may_be_empty)
    if len(references) == 1 and _is_file(references[0]):
        return Selection((Selected(*references[0]),), is_one=True)
    found = [each for one in references for each in _expanded(one, may_be_empty=may_be_empty)]
    return Selection(_unique(found), project=None if found else _project_in(references[0][0]))


def _project_in(folder: str) -> Project:
    from levada import project as projects

    return projects.find(os.path.join(folder, "pipeline.py"))


def _is_file(reference: tuple[str, str | None]) -> bool:
    path, pipeline = reference
    return pipeline is not None or not (os.path.isdir(path) or _is_glob(path))


def _is_glob(path: str) -> bool:
    """Whether a path is a pattern. A file of that very name is a file."""
    return any(character in path for character in "*?[") and not os.path.lexists(path)


def _expanded(reference: tuple[str, str | None], *, may_be_empty: bool) -> Iterator[Selected]:
    path, pipeline = reference
    if _is_file(reference):
        yield Selected(path, pipeline)
        return
    found = _found(path)
    if not found and not (may_be_empty and os.path.isdir(path)):
        raise UsageError(f"there is no Python file in `{path}`")
    yield from (Selected(each, is_named=False) for each in found)


def _of_project(*, may_be_empty: bool) -> Selection:
    from levada.project import ProjectError

    from . import stores

    project = _project_in(os.getcwd())
    try:
        patterns = project.settings.get("pipelines")
    except ProjectError as error:
        raise UsageError(stores.in_words(error)) from error
    if patterns is None:
        raise UsageError(
            "which pipelines? Give a FILE, a folder or a glob, or name those of the project in "
            'pyproject.toml: `[tool.levada]` with `pipelines = ["pipelines/**/*.py"]`'
        )
    found = [
        Selected(path, is_named=False)
        for pattern in _patterns(patterns)
        for path in _matching(project, pattern, may_be_empty=may_be_empty)
    ]
    return Selection(_unique(found), project=project)


def _patterns(value: object) -> list[str]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        raise UsageError(
            f'{_SETTING} must be a list of files, folders and globs: `["pipelines/**/*.py"]`'
        )
    if not given:
        raise UsageError(f"{_SETTING} is empty: name the files, folders or globs of the project")
    return given


def _matching(project: Project, pattern: str, *, may_be_empty: bool) -> list[str]:
    """The files of the project that a pattern of its settings matches, as seen from here."""
    if os.path.isabs(pattern) or ".." in pattern.split("/"):
        raise UsageError(f"{_SETTING}: `{pattern}` leads out of the project; write a path below it")
    found = _found(os.path.join(_escaped(project.root), *pattern.split("/")))
    if not found and not may_be_empty:
        raise UsageError(f"{_SETTING}: `{pattern}` matches no Python file")
    return [os.path.relpath(path) for path in found]


def _escaped(folder: str) -> str:
    from glob import escape

    return escape(folder)


def _found(path: str) -> list[str]:
    """The Python files that a folder holds or a glob matches, sorted."""
    if os.path.isdir(path):
        return sorted(_below(path))
    from glob import glob

    matches = glob(path, recursive=True)
    found = [each for each in matches if each.endswith(_SUFFIX) and os.path.isfile(each)]
    if "**" not in path:
        for folder in filter(os.path.isdir, matches):
            found += _below(folder)
        return sorted(set(found))
    return sorted(each for each in found if not _is_of_others(each, path))


def _below(folder: str) -> Iterator[str]:
    for at, names in folders_below(folder):
        yield from (os.path.join(at, name) for name in names if name.endswith(_SUFFIX))


def folders_below(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and those below, each with the names of its files.

    Those that hold what others wrote are left out: environments, packages, caches.
    """
    for at, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NOT_OURS
            and not os.path.exists(os.path.join(at, name, _ENVIRONMENT))
        ]
        yield at, names


def _is_of_others(path: str, pattern: str) -> bool:
    """Whether ``**`` has gone into an environment or a cache that the pattern does not name."""
    start = pattern.partition("**")[0]
    folder = os.path.dirname(path)
    while len(folder) > len(start):
        name = os.path.basename(folder)
        if name in _NOT_OURS or os.path.exists(os.path.join(folder, _ENVIRONMENT)):
            return True
        folder = os.path.dirname(folder)
    return False


def _unique(selected: Iterable[Selected]) -> tuple[Selected, ...]:
    """Each file once; one that was named is named."""
    found: dict[tuple[str, str | None], Selected] = {}
    for each in selected:
        key = (os.path.realpath(each.path), each.pipeline)
        before = found.get(key)
        if before is None or (each.is_named and not before.is_named):
            found[key] = each
    whole = {path for path, pipeline in found if pipeline is None}
    return tuple(
        each for (path, pipeline), each in found.items() if pipeline is None or path not in whole
    )
