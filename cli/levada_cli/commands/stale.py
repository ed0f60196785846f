"""Files in output folders whose pipeline is no longer in the source."""

from __future__ import annotations

import os

from levada import project as projects
from levada.regular_files import regular
from levada_compiler import origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .batch import Result

#: An origin is at the top of a file.
_HEAD = 4000
#: Larger than anything that is compiled.
_LARGEST = 64 << 20


def find(results: Sequence[Result]) -> list[str]:
    """Return the files that Levada has written from pipelines that are not there any more, sorted.

    They are looked for in the folders that these results are written to, as far as a folder is in
    the project itself: in one that several projects share, nobody can tell whose a file is. A file
    is stale if its module or its pipeline is gone, or if its module was compiled now and gives a
    file of another name. What cannot be told is not stale: a module with an error keeps its files.
    """
    produced = {
        os.path.realpath(os.path.join(each.folder, path))
        for each in results
        for _, path, _ in each.files
    }
    by_source = {(each.root, each.source): each for each in results if not each.is_empty}
    roots = {(folder, each.root) for each in results for folder in each.folders}
    found = {
        path
        for folder, root in roots
        if _owns(root, folder)
        for path in _files(folder)
        if os.path.realpath(path) not in produced and _is_stale(path, root, by_source)
    }
    return sorted(found)


def _owns(root: str, folder: str) -> bool:
    """Whether a folder is one of the project at ``root``, and not the root itself."""
    inside, place = os.path.realpath(root), os.path.realpath(folder)
    if place == inside or not place.startswith(inside.rstrip(os.sep) + os.sep):
        return False
    return os.path.realpath(projects.find(os.path.join(place, "file")).root) == inside


def _files(folder: str) -> Iterator[str]:
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        for name in names:
            path = os.path.join(at, name)
            if not name.startswith(".") and not os.path.islink(path):
                yield path


def _is_stale(path: str, root: str, by_source: dict[tuple[str, str], Result]) -> bool:
    made_from = _origin(path)
    if made_from is None:
        return False
    file, function = made_from
    result = by_source.get((root, file))
    if result is None:
        return not _declares(os.path.join(root, *file.split("/")), function)
    if result.failed:
        return False
    return function not in result.declared or _is_renamed(path, function, result)


def _origin(path: str) -> tuple[str, str] | None:
    """The module and the pipeline that a file was made from; None if Levada did not write it."""
    try:
        with open(path, encoding="utf-8", errors="strict", opener=regular) as file:
            text = file.read(_HEAD)
            if not origin.is_made(text):
                return None
            if text.startswith("{"):  # a program as JSON, whose origin is not text
                text += file.read(_LARGEST)
    except (OSError, ValueError):
        return None
    return origin.origin_of(text)


def _declares(path: str, function: str) -> bool:
    """Whether a module defines this function; what cannot be read may."""
    import ast

    try:
        with open(path, "rb", opener=regular) as file:
            tree = ast.parse(file.read())
    except FileNotFoundError:
        return False
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return True
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)


def _is_renamed(path: str, function: str, result: Result) -> bool:
    """Whether the pipeline gives a file of this kind under another name now."""
    for _, _, text in (each for each in result.files if _suffix(each[1]) == _suffix(path)):
        found = origin.origin_of(text)
        if found is not None and found[1] == function:
            return True
    return False


def _suffix(path: str) -> str:
    """``.ir.json`` of ``dags/churn.ir.json``."""
    return os.path.basename(path).partition(".")[2]
