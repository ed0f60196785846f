"""The functions, classes and constants that a run's code consists of, from its recorded sources.

The sources of a run, or else its commit with the changes since, are written to a temporary folder
and read there as the compiler reads a project: nothing is imported or executed.
"""

from __future__ import annotations

import os
import tempfile
from itertools import pairwise

from levada import code_dump, sources
from levada import project as projects
from levada.code import Code
from levada.project import Project, ProjectError
from levada.store import StoreError

from levada_records.recorded_code import CodeNotStored, restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada.code import Reach
    from levada.code_units import Unit
    from levada.plan_types import Plan
    from levada.sources import SourceFiles

    from levada_records.runs import Run

#: Files of recorded sources that are read at most.
MAX_FILES = 5000
#: What the path of a file of an installed distribution begins with.
_INSTALLED = "site-packages/"
_KINDS = {"function": "function", "class": "class", "variable": "constant", "import": "import"}


class UnreadableSources(Exception):  # noqa: N818
    """The sources of a run are not there, or cannot be used. The message says why."""


class Definition:
    """What one name of a module stands for: a function, a class, a constant or a statement.

    ``meaning`` is equal where only comments and formatting differ. ``text`` is what is written,
    ``line`` where that begins in ``file``. ``steps`` are the keys of the steps that reach it.
    """

    __slots__ = ("file", "kind", "line", "meaning", "name", "steps", "text")

    def __init__(self, name: str, kind: str, file: str, line: int, meaning: str, text: str) -> None:
        self.name = name
        self.kind = kind
        self.file = file
        self.line = line
        self.meaning = meaning
        self.text = text
        self.steps: set[str] = set()


class ProgramUnits:
    """The definitions of a run's program, by file and name.

    ``left_out`` are sentences on files whose text was not kept.
    """

    __slots__ = ("definitions", "left_out")

    def __init__(self, definitions: list[Definition], left_out: list[str]) -> None:
        self.definitions = definitions
        self.left_out = left_out


def read_units(run: Run, project: str | None = None) -> ProgramUnits:
    """Read the definitions that the steps and the pipeline of a run reach.

    ``project`` is the root of the project here, whose repository may have the commit of a run that
    recorded no sources. Raises UnreadableSources, and StoreError if the store cannot be read.
    """
    document = run.document
    if document is None:
        raise UnreadableSources("its run.json cannot be read")
    with tempfile.TemporaryDirectory(prefix="levada-compare-") as folder:
        if document.get("sources") is not None:
            root, left_out = _recorded(run, str(document["sources"]), folder)
        else:
            root, left_out = _restored(run, folder, project)
        try:
            return ProgramUnits(_Reader(root, run).definitions(), left_out)
        except (OSError, SyntaxError, LookupError, ProjectError, TypeError, ValueError) as error:
            raise UnreadableSources(f"its sources cannot be read: {error}") from error


def _recorded(run: Run, digest: str, folder: str) -> tuple[str, list[str]]:
    """Write the recorded sources below a folder; return the project's root, and what is missing."""
    try:
        files = sources.read(run.store, digest)
    except (ValueError, StoreError) as error:
        raise UnreadableSources(f"its sources cannot be read: {error}") from error
    left_out = [f"{name}: {why}" for name, each in files.items() if (why := each.get("left_out"))]
    return _write(files, folder), left_out


def _restored(run: Run, folder: str, project: str | None) -> tuple[str, list[str]]:
    """Restore the commit of a run in the same way."""
    try:
        found = restore(run, folder, project=project)
    except CodeNotStored as error:
        raise UnreadableSources(str(error)) from error
    return found.root, found.missing


def _write(files: SourceFiles, folder: str) -> str:
    """Write the Python files below a folder; return the root of the project there.

    Files of packages that the project takes from folders are above its root: ``../lib/clean.py``.
    """
    modules = [name for name in sorted(files) if name.endswith(".py") and "text" in files[name]]
    if len(modules) > MAX_FILES:
        raise UnreadableSources(f"its recorded sources are {len(modules):,} files")
    paths = {name: _parts(name) for name in modules}
    above = max((parts.count("..") for parts in paths.values()), default=0)
    root = os.path.join(folder, *("project" for _ in range(above + 1)))
    os.makedirs(root)
    for name, parts in paths.items():
        path = os.path.normpath(os.path.join(root, *parts))
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(sources.content(files[name]))
        except OSError as error:
            raise UnreadableSources(f"`{name}` of its sources cannot be used: {error}") from error
    return root


def _parts(name: str) -> list[str]:
    """Return the parts of a recorded path: it came from a store that others can write to."""
    parts = name.split("/")
    is_inner = [part != ".." for part in parts]
    climbs_late = any(earlier and not later for earlier, later in pairwise(is_inner))
    if "" in parts or "." in parts or climbs_late or parts.count("..") > 20 or "\0" in name:
        raise UnreadableSources(f"`{name[:80]}` is not the path of a source file")
    return parts


class _Reader:
    """Reads the definitions of the program of a run."""

    def __init__(self, root: str, run: Run) -> None:
        plan = run.plan
        self._steps = dict(_steps_of_plan(plan) if plan is not None else _steps_of_records(run))
        self._pipeline = run.pipeline
        files = {file for file, _ in self._steps.values()}
        self._files = [plan["file"]] if plan is not None else sorted(files)
        if not self._files:
            raise UnreadableSources("no step of it says where its code is")
        if plan is not None:
            search = [os.path.normpath(os.path.join(root, folder)) for folder in plan["search"]]
        else:
            found = projects.find(os.path.join(root, *self._files[0].split("/")))
            search = [each for each in found.search if each.startswith(root)]
        self._project = Project(root, search)
        self._code = Code(self._project)
        self._lines: dict[str, list[str]] = {}
        self._units: dict[Unit, set[str]] = {}
        self._shown: set[Unit] = set()

    def definitions(self) -> list[Definition]:
        """Return what the steps and the pipeline reach, one for each name of a file."""
        for key, (file, function) in self._steps.items():
            if not file.startswith(_INSTALLED):
                self._take(self._code.reach(self._project.absolute(file), function), key)
        for file in self._files:
            path = self._project.absolute(file)
            for unit in self._pipelines(path):
                for name in unit.bound:
                    self._take(self._code.reach(path, name), None)
        of_name: dict[tuple[str, str], list[Unit]] = {}
        for unit in sorted(self._units, key=lambda unit: (unit.path, unit.index)):
            of_name.setdefault((unit.path, _name(unit)), []).append(unit)
        return [self._definition(units) for units in of_name.values()]

    def _take(self, reach: Reach, step: str | None) -> None:
        for unit in reach.units:
            steps = self._units.setdefault(unit, set())
            if step is not None:
                steps.add(step)
        self._shown |= reach.shown.keys()
        if reach.reads_docstrings:
            self._shown |= reach.units.keys()

    def _pipelines(self, path: str) -> list[Unit]:
        """Return the function of the pipeline; all of the module's if it cannot be told."""
        found: list[Unit] = []
        for unit in self._code.units(path):
            named = [each for each in unit.decorators if self._is_pipeline(unit, each)]
            if not named:
                continue
            if self._pipeline in (*unit.bound, *map(_name_setting, named)):
                return [unit]
            found.append(unit)
        return found

    def _is_pipeline(self, unit: Unit, decorator: Any) -> bool:
        return self._code.role_of(unit, decorator) == "pipeline"

    def _definition(self, units: list[Unit]) -> Definition:
        first = units[0]
        meaning = "\n".join(
            code_dump.dump(unit.node, docstrings=unit in self._shown) for unit in units
        )
        found = Definition(
            _name(first),
            _KINDS.get(first.kind, "statement"),
            self._project.relative(first.path),
            _first_line(first.statement),
            meaning,
            "".join(self._text(unit) for unit in units),
        )
        found.steps = set().union(*(self._units[unit] for unit in units))
        return found

    def _text(self, unit: Unit) -> str:
        """Return the source text of a statement, its decorators included."""
        if unit.path not in self._lines:
            self._lines[unit.path] = self._code.text(unit.path).split("\n")
        statement: Any = unit.statement
        lines = self._lines[unit.path][_first_line(statement) - 1 : statement.end_lineno]
        return "\n".join([*lines, ""])


def _steps_of_plan(plan: Plan) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the file and the function of each step, by its key."""
    for key, step in plan["steps"].items():
        if step.get("file") and step.get("container") is None:
            yield key, (step["file"], step["function"])


def _steps_of_records(run: Run) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the same of a run whose plan is not stored, as on Airflow and Kubeflow."""
    for step in run.steps:
        record = step.record
        file = record["code"]["file"] if record is not None else None
        if record is not None and file:
            yield record["step"], (file, record["step"].rpartition(":")[2])


def _name(unit: Unit) -> str:
    """Return what a unit defines; of a statement that defines nothing, how it begins."""
    if unit.bound:
        return ", ".join(unit.bound)
    import ast

    return ast.unparse(unit.node).partition("\n")[0][:60]


def _name_setting(decorator: Any) -> str | None:
    keywords: Iterable[Any] = getattr(decorator, "keywords", ())
    found = (each.value for each in keywords if each.arg == "name")
    return next((getattr(value, "value", None) for value in found), None)


def _first_line(statement: Any) -> int:
    decorators = getattr(statement, "decorator_list", None) or [statement]
    return int(min(statement.lineno, decorators[0].lineno))
