"""Files in output folders whose pipeline is no longer in the source."""

from __future__ import annotations

import os

from levada import project as projects
from levada.regular_files import regular
from levada_compiler import origin
from levada_compiler.slotted import dataclass
from levada_compiler.usage import UsageError

from . import configuration, selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .batch import Result

#: Larger than anything that is compiled.
_LARGEST = 64 << 20
#: What marks the root of a project.
_MARKS = ("pyproject.toml", ".git")


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that Levada has written: its kind, and the module and the function of its pipeline."""

    path: str
    kind: str
    file: str
    function: str

    @property
    def folder(self) -> str:
        """The folder that its target was told to write to."""
        folder = os.path.dirname(os.path.realpath(self.path))
        return os.path.dirname(folder) if self.kind == "kubernetes" else folder


def find(results: Sequence[Result], places: Iterable[tuple[str, str]]) -> list[str]:
    """Return the files that Levada has written from pipelines that are not there any more, sorted.

    ``places`` are the folders that are written to, each with the root of the project whose files
    go there. Those of the project itself are looked through, as far as no project within it writes
    to the same one: there, nobody can tell whose a file is. A file is stale if its module or its
    pipeline is gone, or if its module was compiled now and gives a file of another name, or none.
    What cannot be told is not stale: a module with an error keeps its files.
    """
    produced = {
        os.path.realpath(os.path.join(each.folder, path))
        for each in results
        for _, path, _ in each.files
    }
    by_source: dict[str, list[Result]] = {}
    for each in results:
        by_source.setdefault(os.path.realpath(each.path), []).append(each)
    found: set[str] = set()
    for folder, root in sorted(places):
        if not _owns(root, folder):
            continue
        old = [path for path in _files(folder) if os.path.realpath(path) not in produced]
        stale = [made for made in map(_read, old) if made and _is_stale(made, root, by_source)]
        found |= {made.path for made in _without_others(stale, root)}
    return sorted(found)


def _owns(root: str, folder: str) -> bool:
    """Whether a folder is one of the project at ``root``, and not the root itself."""
    inside, place = os.path.realpath(root), os.path.realpath(folder)
    if place == inside or not place.startswith(inside.rstrip(os.sep) + os.sep):
        return False
    return os.path.realpath(projects.find(os.path.join(place, "file")).root) == inside


def _files(folder: str) -> Iterator[str]:
    """The files of a folder and of those below that are no project of their own."""
    for at, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__pycache__")) and not _is_root(os.path.join(at, name))
        ]
        for name in names:
            path = os.path.join(at, name)
            if not name.startswith(".") and not os.path.islink(path):
                yield path


def _is_root(folder: str) -> bool:
    return any(os.path.lexists(os.path.join(folder, mark)) for mark in _MARKS)


def _is_stale(made: _Made, root: str, by_source: Mapping[str, Sequence[Result]]) -> bool:
    parts = made.file.split("/")
    if os.path.isabs(made.file) or ".." in parts:
        return False  # it is not from this project
    source = os.path.realpath(os.path.join(root, *parts))
    results = by_source.get(source, ())
    if not results:
        return not _may_declare(source, made.function)
    if all(each.is_empty for each in results):
        return _decorated(source) is not None
    if any(each.failed for each in results):
        return False
    gives = {
        function
        for each in results
        for function in ([one for one, _ in each.outermost] if each.is_whole else each.declared)
    }
    return made.function not in gives or any(_is_renamed(made, each) for each in results)


def _read(path: str) -> _Made | None:
    """What a file was made from; None if Levada did not write it."""
    try:
        with open(path, encoding="utf-8", errors="strict", opener=regular) as file:
            text = file.read(origin.HEAD)
            kind = origin.kind_of(text)
            if kind == "ir":  # a program as JSON, whose origin is not at its top
                text += file.read(_LARGEST)
    except (OSError, ValueError):
        return None
    found = origin.origin_of(text) if kind else None
    return None if found is None else _Made(path, kind, *found)


def _may_declare(path: str, function: str) -> bool:
    """Whether a module may have this pipeline."""
    found = _decorated(path)
    return found is None or function in found


def _decorated(path: str) -> frozenset[str] | None:
    """The functions of a module that are under a decorator; None where it cannot be read."""
    import ast

    try:
        with open(path, "rb", opener=regular) as file:
            tree = ast.parse(file.read())
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list
    )


def _is_renamed(made: _Made, result: Result) -> bool:
    """Whether the pipeline gives a file of this kind under another name in this folder now."""
    return any(
        origin.kind_of(text) == made.kind
        and origin.origin_of(text) == (made.file, made.function)
        and _Made(os.path.join(result.folder, path), made.kind, "", "").folder == made.folder
        for _, path, text in result.files
    )


# ------------------------------------------------------------------ projects within the project


def _without_others(stale: Sequence[_Made], root: str) -> Iterator[_Made]:
    """Leave out what a project within the project at ``root`` has written, or may have."""
    if not stale:
        return
    inner = [at for at, _ in selection.folders_below(root) if at != root and _is_root(at)]
    shared = {place for at in inner for place in _outputs(at)}
    for made in stale:
        parts = made.file.split("/")
        is_other = any(os.path.lexists(os.path.join(at, *parts)) for at in inner)
        if made.folder not in shared and not is_other:
            yield made


def _outputs(root: str) -> set[str]:
    """The folders that a project's settings name for the files of its targets."""
    project = projects.find(os.path.join(root, "pipeline.py"))
    try:
        tables = configuration.tables(project)
        every = [
            table
            for name, own in tables.items()
            for table in (own, *configuration.environments(own, name).values())
        ]
    except UsageError:
        return set()
    outputs = [table.get(configuration.OUTPUT) for table in every]
    return {os.path.realpath(os.path.join(root, each)) for each in outputs if isinstance(each, str)}
