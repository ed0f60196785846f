"""The part of a project's source that some steps need, as files that import and run alone.

Each module keeps the statements that the steps reach (:mod:`levada.code` says which) and blank
lines for all others, so that the lines in a traceback are those of the source. What is added to
what the digest of a step covers is only what the text needs to run: the import of ``step``
itself, ``__future__`` imports, the test of an ``if TYPE_CHECKING`` block. The digest of a step is
the same for the slice as for the source.

Settings in ``@step(…)`` that the function cannot see are left out, since they may use names that
are not there. An import that is dropped but whose module does something when it is imported
(and this belongs to a step) becomes a plain import of that module.
"""

from __future__ import annotations

import ast
import builtins
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from levada.code import VISIBLE_SETTINGS, Reach
from levada.code_units import reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from levada.code import Code
    from levada.code_units import Unit

#: The name that an import gets which is there only for what its module does.
_LOADED = b"_levada_loaded"


class Slice:
    """What some steps need of a project.

    ``units`` are the statements kept, ``whole`` the modules kept as they are, ``loaded`` all
    local modules that are imported (absolute paths).
    """

    def __init__(self, code: Code) -> None:
        """Start with nothing; :meth:`add` the steps."""
        self.code = code
        self._reach = Reach(code)
        self._roots: dict[str, None] = {}
        self._completed: set[Unit] = set()

    @property
    def units(self) -> dict[Unit, None]:
        """The statements kept."""
        return self._reach.units

    @property
    def whole(self) -> dict[str, None]:
        """The modules kept as they are."""
        return self._reach.whole

    @property
    def loaded(self) -> dict[str, None]:
        """The modules that are imported."""
        return self._reach.loaded

    @property
    def libraries(self) -> dict[str, None]:
        """Files of installed distributions that steps are made of functions of."""
        return self._reach.libraries

    def add_step(self, path: str, function: str) -> None:
        """Add a step of the module at ``path`` (absolute) with all that it reaches.

        Raises OSError or SyntaxError if a module that it needs cannot be read.
        """
        self._roots[path] = None
        self._reach.load(path)
        self.add_name(path, function)

    def add_name(self, path: str, name: str) -> None:
        """Add what a module has under a name: a class of which a step may be given a value."""
        self._reach.add_all(self.code.resolve(path, name))
        self._complete()

    def add_all(self, other: Slice) -> None:
        """Add all that another slice of the same project has."""
        for path in other._roots:
            self._roots[path] = None
        for path in other.loaded:
            self._reach.load(path)
        for path in other.whole:
            self._reach.add_whole(path)
        self._reach.add_all(other.units)
        self._complete()

    def _complete(self) -> None:
        """Add what the text needs beyond what the function reaches."""
        while True:
            self._reach.close()
            new = [unit for unit in self.units if unit not in self._completed]
            if not new:
                return
            self._completed.update(new)
            for unit in new:
                self._reach.add_all(self._companions(unit))
                if not unit.is_typing and self._has_hidden_name(unit):
                    self._reach.add_whole(unit.path)

    def _has_hidden_name(self, unit: Unit) -> bool:
        """Whether a statement uses a name that its module makes without binding it.

        By ``globals().update(…)``, say: then nothing tells which statement does.
        """
        return any(
            not (hasattr(builtins, name) or (name.startswith("__") and name.endswith("__")))
            and not self.code.resolve(unit.path, name)
            for name, _ in unit.references
        )

    def _companions(self, unit: Unit) -> Iterator[Unit]:
        for decorator in unit.decorators:
            base = reference(decorator)
            if base is not None and self.code.role_of(unit, decorator):
                yield from self.code.resolve(unit.path, *base)
        if unit.is_typing:
            yield from self._typing_test(unit)
        for path in self.code.unit_loads(unit)[-1:] if unit.stars else ():
            yield from self._exported(path)
        for name in _deleted(unit.statement) if unit.kind == "other" else ():
            yield from self.code.resolve(unit.path, name)
        yield from _layout(self.code, unit.path).futures

    def _exported(self, path: str) -> Iterator[Unit]:
        """Yield ``__all__`` and what it names where ``import *`` brings private names too.

        Else it is left out, and ``import *`` brings whatever public names a slice has.
        """
        units = self.code.resolve(path, "__all__")
        names = [name for unit in units for name in _texts(unit.statement)]
        if any(name.startswith("_") for name in names):
            yield from units
            for name in names:
                yield from self.code.resolve(path, name)

    def _typing_test(self, unit: Unit) -> Iterator[Unit]:
        """Yield what defines ``TYPE_CHECKING`` for the block that a statement is in."""
        for statement in self.code.tree(unit.path).body:
            if isinstance(statement, ast.If) and unit.statement in statement.body:
                base = reference(statement.test)
                yield from self.code.resolve(unit.path, *base) if base is not None else ()

    def files(self) -> dict[str, bytes]:
        """Return the text of each module, by POSIX path relative to the project's root, sorted.

        Modules of installed distributions are left out: these are packages of the image.
        """
        loads = self._bare_loads()
        paths = {unit.path for unit in self.units} | {unit.path for unit in loads}
        paths.update(self._imported(loads))
        project = self.code.project
        texts = {}
        for path in paths:
            if project.is_installed(path):
                continue
            if path in self.whole:
                text = self.code.text(path).encode("utf-8", "surrogatepass")
            else:
                text = _ModuleText(self.code, path, self.units, loads).text()
            texts[project.relative(path)] = _declared(text)
        return dict(sorted(texts.items()))

    def _imported(self, loads: dict[Unit, list[str]]) -> set[str]:
        """The local files that the slice imports, empty packages included."""
        paths = {path for unit in self.units for path in self.code.links(unit).loads}
        paths.update(file for files in loads.values() for file in files)
        return paths | {package for path in paths for package in self._packages(path)}

    def _packages(self, path: str) -> Iterator[str]:
        root = Path(self.code.project.source_root(path))
        for folder in Path(path).parents:
            if root not in folder.parents:
                return
            init = folder / "__init__.py"
            if init.is_file():
                yield str(init)

    def _bare_loads(self) -> dict[Unit, list[str]]:
        """The dropped imports through which alone a module is reached that does something.

        With each the files that it has to import.
        """
        acting = {unit.path for unit in self.units if unit in self.code.acts(unit.path)}
        missing: set[str] = set()
        for root in self._roots if acting else ():
            missing |= acting - self._loaded_by_kept(root)
        leading = {path for path in self.loaded if missing and missing & self._loaded_from(path)}
        return {
            unit: files
            for path in leading - set(self.whole)
            for unit in self.code.units(path)
            if unit not in self.units and (files := self._files_towards(unit, leading))
        }

    def _files_towards(self, unit: Unit, leading: set[str]) -> list[str]:
        files = [] if unit.is_typing else self.code.unit_loads(unit)
        return [file for file in dict.fromkeys(files) if file in leading]

    def _loaded_by_kept(self, root: str) -> set[str]:
        """The modules that the kept statements import, beginning with those of one module."""
        imported: dict[str, set[str]] = {}
        for unit in self.units:
            if not unit.is_typing:
                imported.setdefault(unit.path, set()).update(self.code.links(unit).loads)
        loaded = {root}
        pending = [root]
        while pending:
            new = imported.get(pending.pop(), set()) - loaded
            loaded |= new
            pending += new
        return loaded

    def _loaded_from(self, path: str) -> set[str]:
        seen = {path}
        pending = [path]
        while pending:
            for file in self.code.loads(pending.pop()):
                if file not in seen:
                    seen.add(file)
                    pending.append(file)
        return seen


class _Layout:
    """Where the statements of a module are: found once for all slices.

    ``groups`` are the statements that share lines, with their place in ``data`` and their first
    and last line; ``group_of`` says in which one each unit is.
    """

    def __init__(self, code: Code, path: str) -> None:
        self.data = code.text(path).encode("utf-8", "surrogatepass")
        if not self.data.endswith(b"\n"):
            self.data += b"\n"
        self.body = code.tree(path).body
        self.starts = _line_starts(self.data)
        self.units: dict[int, list[Unit]] = {}
        for unit in code.units(path):
            self.units.setdefault(id(unit.statement), []).append(unit)
        self.groups = list(self._grouped())
        self.group_of = {
            unit: number
            for number, group in enumerate(self.groups)
            for statement in group
            for unit in self.units_of(statement)
        }
        self.futures = [
            unit
            for unit in code.units(path)
            if any(module == "__future__" for _, module, _ in unit.early)
        ]

    def units_of(self, statement: ast.stmt) -> list[Unit]:
        """The units of a statement, also of those in an ``if TYPE_CHECKING`` block."""
        parts = [statement, *(statement.body if isinstance(statement, ast.If) else ())]
        return [unit for part in parts for unit in self.units.get(id(part), ())]

    def lines(self, group: list[ast.stmt]) -> tuple[int, int]:
        """The first line of a group, and the one after its last."""
        return _first_line(group[0]), (group[-1].end_lineno or group[-1].lineno) + 1

    def _grouped(self) -> Iterator[list[ast.stmt]]:
        """The statements, those that share a line together."""
        group: list[ast.stmt] = []
        end = 0
        for statement in self.body:
            first = _first_line(statement)
            if group and first > end and not self._is_continued(first - 1):
                yield group
                group = []
            group.append(statement)
            end = statement.end_lineno or first
        if group:
            yield group

    def _is_continued(self, line: int) -> bool:
        """Whether a line ends with a backslash."""
        return self.data[self.starts[line - 1] : self.starts[line]].endswith(b"\\\n")


_layouts: WeakKeyDictionary[Code, dict[str, _Layout]] = WeakKeyDictionary()


def _layout(code: Code, path: str) -> _Layout:
    known = _layouts.setdefault(code, {})
    if path not in known:
        known[path] = _Layout(code, path)
    return known[path]


class _ModuleText:
    """Writes one module: its text with everything replaced by newlines that is not kept."""

    def __init__(
        self, code: Code, path: str, kept: dict[Unit, None], loads: dict[Unit, list[str]]
    ) -> None:
        self.code = code
        self.layout = _layout(code, path)
        self.data, self.starts, self.units = (
            self.layout.data,
            self.layout.starts,
            self.layout.units,
        )
        self.kept = kept
        self.loads = loads
        self.own = [unit for unit in (*kept, *loads) if unit.path == path]
        self.is_documented = any(unit.reads_docstrings for unit in kept if unit.path == path)

    def text(self) -> bytes:
        """Return the text; as many lines as the source has up to the last one kept."""
        out = []
        line = 1
        for number in self._groups():
            group = self.layout.groups[number]
            first, after = self.layout.lines(group)
            edits = [edit for statement in group for edit in self._edits(statement)]
            start, end = self.starts[first - 1], self.starts[after - 1]
            out += [b"\n" * (first - line), _edited(self.data, start, end, edits)]
            line = after
        text = b"".join(out).rstrip(b"\n")
        # A line that is continued needs one to be continued on.
        return text + (b"\n\n" if text.endswith(b"\\") else b"\n") if out else b""

    def _groups(self) -> list[int]:
        """The numbers of the groups of which something is kept."""
        numbers = {self.layout.group_of[unit.outer or unit] for unit in self.own}
        if self.layout.groups and self._is_kept(self.layout.body[0]):
            numbers.add(0)
        return sorted(numbers)

    def _is_kept(self, statement: ast.stmt) -> bool:
        units = self.layout.units_of(statement)
        if any(unit in self.kept or unit in self.loads for unit in units):
            return True
        return self.is_documented and statement is self.layout.body[0] and _is_text(statement)

    def _edits(self, statement: ast.stmt) -> Iterator[tuple[int, int, bytes]]:
        units = self.units.get(id(statement), [])
        nested = [unit for unit in self.own if units and unit.outer is units[0]]
        if nested and not self._is_kept(statement):
            yield from self._nested_edits(statement, nested)
        elif not self._is_kept(statement):
            yield self._emptied(statement)
        elif any(unit in self.loads for unit in units) and not any(u in self.kept for u in units):
            loads = [file for unit in units for file in self.loads.get(unit, ())]
            yield self._replace(statement, self._bare_imports(loads))
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from self._import_edits(statement, units)
        elif units and (call := self.code.made_by(units[0])) is not None:
            yield self._settings_edit(call, call.args[:1])
        else:
            for unit in (*units[:1], *nested):
                yield from self._decorator_edits(unit)

    def _nested_edits(
        self, pipeline: ast.stmt, nested: list[Unit]
    ) -> Iterator[tuple[int, int, bytes]]:
        """Leave of a pipeline a function that has only the steps that are kept of its body."""
        name = getattr(pipeline, "name", "").encode()
        at = self.starts[_first_line(pipeline) - 1]
        head = b"\n" * (pipeline.lineno - _first_line(pipeline)) + b"def " + name + b"():"
        steps: list[tuple[ast.stmt, Unit]] = [(unit.node, unit) for unit in nested]  # type: ignore[misc]
        for step, unit in sorted(steps, key=lambda each: each[0].lineno):
            first = self.starts[_first_line(step) - 1]
            lines = self.data[at:first].count(b"\n") - head.count(b"\n")
            yield at, first, head + b"\n" * lines
            yield from self._decorator_edits(unit)
            at, head = self._range(step)[1], b""
        end = self._range(pipeline)[1]
        yield at, end, _blank(self.data[at:end])

    def _decorator_edits(self, unit: Unit) -> Iterator[tuple[int, int, bytes]]:
        for decorator in unit.decorators:
            if isinstance(decorator, ast.Call) and self.code.role_of(unit, decorator):
                yield self._settings_edit(decorator, [])

    def _import_edits(
        self, statement: ast.Import | ast.ImportFrom, units: list[Unit]
    ) -> Iterator[tuple[int, int, bytes]]:
        if all(unit in self.kept for unit in units):
            return
        pairs = zip(statement.names, units, strict=True)
        names = b", ".join(_alias(alias) for alias, unit in pairs if unit in self.kept)
        head = b"import "
        if isinstance(statement, ast.ImportFrom):
            module = (statement.module or "").encode()
            head = b"from " + b"." * statement.level + module + b" import "
        loads = [file for unit in units for file in self.loads.get(unit, ())]
        bare = b"; " + self._bare_imports(loads) if loads else b""
        yield self._replace(statement, head + names + bare)

    def _bare_imports(self, files: list[str]) -> bytes:
        names = [self.code.project.module_name(file).encode() for file in dict.fromkeys(files)]
        return b"; ".join(b"import " + name + b" as " + _LOADED for name in names)

    def _settings_edit(self, call: ast.Call, given: list[ast.expr]) -> tuple[int, int, bytes]:
        """Leave of ``step(…)`` what is ``given`` and the settings that the function can see."""
        start, end = self._range(call)
        name = self._source(call.func)
        kept = [self._source(argument) for argument in given]
        kept += [
            (keyword.arg or "").encode() + b"=" + self._source(keyword.value)
            for keyword in call.keywords
            if keyword.arg in VISIBLE_SETTINGS
        ]
        text = name + b"(" + b", ".join(kept)
        lines = self.data[start:end].count(b"\n") - text.count(b"\n")
        return start, end, text + b"\n" * lines + b")"

    def _replace(self, statement: ast.stmt, text: bytes) -> tuple[int, int, bytes]:
        """Replace a statement by one on its first line, with its further lines left empty."""
        start, end = self._range(statement)
        return start, end, text + b" \\\n" * self.data[start:end].count(b"\n")

    def _emptied(self, statement: ast.stmt) -> tuple[int, int, bytes]:
        """Replace a statement by an empty string, which may stand anywhere on a line."""
        start, end = self._range(statement)
        return start, end, b'"""' + _blank(self.data[start:end]) + b'"""'

    def _range(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        first = self.starts[node.lineno - 1] + node.col_offset
        return first, self.starts[end_line - 1] + end_column

    def _source(self, node: ast.expr) -> bytes:
        start, end = self._range(node)
        return self.data[start:end]


def _line_starts(data: bytes) -> list[int]:
    starts = [0]
    at = data.find(b"\n")
    while at >= 0:
        starts.append(at + 1)
        at = data.find(b"\n", at + 1)
    return starts


def _first_line(statement: ast.stmt) -> int:
    decorators: Iterable[ast.expr] = getattr(statement, "decorator_list", ())
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _deleted(statement: ast.AST) -> Iterator[str]:
    """The names that a statement deletes from its module: they have to be there."""
    pending = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            yield node.id
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            pending += ast.iter_child_nodes(node)


def _texts(node: ast.AST) -> list[str]:
    constants = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def _is_text(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Expr) and isinstance(getattr(value, "value", None), str)


def _alias(alias: ast.alias) -> bytes:
    return (f"{alias.name} as {alias.asname}" if alias.asname else alias.name).encode()


def _blank(data: bytes) -> bytes:
    return b"\n" * data.count(b"\n")


def _edited(data: bytes, start: int, end: int, edits: list[tuple[int, int, bytes]]) -> bytes:
    parts = []
    for first, last, text in sorted(edits):
        parts += [data[start:first], text]
        start = last
    return b"".join([*parts, data[start:end]])


def _declared(text: bytes) -> bytes:
    """Make sure that Python reads the text as UTF-8, whatever encoding its source declared."""
    head = text.split(b"\n", 2)[:2]
    if any(b"coding" in line and line.lstrip().startswith(b"#") for line in head):
        lines = text.split(b"\n")
        for index in range(len(head)):
            if lines[index].lstrip().startswith(b"#"):
                lines[index] = b"#"
        return b"\n".join(lines)
    return text
