"""Where a step's code imports something from outside of the project, and if it may be missing."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from levada_compiler.front.source import Source
from levada_compiler.slotted import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from levada.code import Code
    from levada.code_units import Unit
    from levada_compiler.diagnostics.diagnostic import Span

#: What imports a module whose name it is given.
_IMPORTERS = frozenset(("import_module", "__import__"))
_IMPORT_ERRORS = frozenset(("ImportError", "ModuleNotFoundError", "Exception", "BaseException"))


@dataclass(frozen=True, slots=True)
class Import:
    """An import of ``module`` (and of ``name`` from it). ``optional``: its failure is handled."""

    module: str
    name: str | None
    span: Span
    optional: bool = False

    @property
    def text(self) -> str:
        """The import as written, in one line."""
        return f"from {self.module} import {self.name}" if self.name else f"import {self.module}"


class ImportFinder:
    """Finds the outside imports in statements of a project's modules."""

    def __init__(self, code: Code) -> None:
        """Read the modules through ``code``."""
        self._code = code
        self._sources: dict[str, Source] = {}
        self._found: dict[Unit, tuple[Import, ...]] = {}

    def of_units(self, units: Iterable[Unit]) -> list[tuple[Unit, Import]]:
        """The imports that run when these statements do, in their order."""
        return [(unit, each) for unit in units for each in self._of_unit(unit)]

    def _of_unit(self, unit: Unit) -> tuple[Import, ...]:
        if unit.is_typing or not unit.imports:
            return ()
        if unit not in self._found:
            wanted = set(self._code.outside_imports(unit))
            source = self.source(unit.path) if wanted else None
            found = _walk(unit.node, False) if wanted else ()
            self._found[unit] = tuple(
                Import(module, name, source.span(node), optional)
                for node, module, name, optional in found
                if (module, name) in wanted and source is not None
            )
        return self._found[unit]

    def computed(self, units: Iterable[Unit]) -> list[Span]:
        """Where these statements import what only a run can tell, and cannot do without it."""
        return [
            self.source(unit.path).span(node)
            for unit in units
            if not unit.is_typing and _IMPORTERS & set(_words(unit))
            for node, module, _, optional in _walk(unit.node, False)
            if not module and not optional and isinstance(node, ast.Call)
        ]

    def source(self, path: str) -> Source:
        """The text of a module, which turns nodes into spans."""
        if path not in self._sources:
            name = self._code.project.relative(path)
            self._sources[path] = Source(name, self._code.text(path))
        return self._sources[path]


def _words(unit: Unit) -> Iterator[str]:
    """The names that a statement uses, attributes included."""
    for name, chain in unit.references:
        yield from (name, *chain)
    for (_, _, taken), chain in unit.inner:
        yield from (taken or "", *chain)


def _walk(node: ast.AST, optional: bool) -> Iterator[tuple[ast.AST, str, str | None, bool]]:
    """Yield what is imported in a statement: the node that has a place, module, name, optional.

    The module is empty where its name is computed.
    """
    pending = [(node, optional)]
    while pending:
        item, handled = pending.pop()
        yield from ((*found, handled) for found in _imported(item))
        if isinstance(item, ast.Try):
            body_handled = handled or any(_catches(handler) for handler in item.handlers)
            pending += [(each, body_handled) for each in reversed(item.body)]
            rest = (*item.handlers, *item.orelse, *item.finalbody)
            pending += [(each, handled) for each in reversed(rest)]
        else:
            guarded = handled or _is_conditional(item)
            pending += [(each, guarded) for each in reversed(list(ast.iter_child_nodes(item)))]


def _imported(node: ast.AST) -> Iterator[tuple[ast.AST, str, str | None]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias, alias.name, None
    elif isinstance(node, ast.ImportFrom) and not node.level:
        for alias in node.names:
            yield alias, node.module or "", None if alias.name == "*" else alias.name
    elif isinstance(node, ast.Call):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        text = getattr(node.args[0], "value", None) if node.args else None
        if called in _IMPORTERS:
            yield node, text if isinstance(text, str) else "", None


def _catches(handler: ast.ExceptHandler) -> bool:
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(name is None or getattr(name, "id", "") in _IMPORT_ERRORS for name in names)


def _is_conditional(node: ast.AST) -> bool:
    """Whether what is within runs for type checkers only."""
    test = getattr(node, "test", None)
    is_typing = "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))
    return isinstance(node, ast.If) and is_typing
