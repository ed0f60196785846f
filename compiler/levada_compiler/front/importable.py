"""Names that are used without their import, where everybody knows which one is meant.

One error says so. The rest of the module is then read as if the import were there: whatever else
would be said of a decorator or a type without a meaning would be wrong.
"""

from __future__ import annotations

import ast

import levada

from ..diagnostics.diagnostic import Label
from .modules import BUILTINS, Import
from .walking import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from ..diagnostics.reports import Reports
    from .modules import FunctionNode, Module

_TYPING: Final = "Annotated Any Literal NamedTuple Optional Protocol TypedDict Union"
#: By module, the names that are imported from it.
_FROM: Final = {
    "levada": (*levada.__all__,),
    "pathlib": ("Path",),
    "datetime": ("date", "datetime", "timedelta", "timezone"),
    "typing": (*_TYPING.split(),),
    "collections.abc": ("Callable", "Iterable", "Iterator", "Mapping", "Sequence"),
    "enum": ("Enum", "Flag", "IntEnum", "StrEnum"),
    "dataclasses": ("dataclass", "field"),
    "decimal": ("Decimal",),
    "uuid": ("UUID",),
    "pydantic": ("BaseModel", "Field"),
}
#: Modules, by what they are called.
_MODULES: Final = {
    **{name: name for name in ("json", "levada", "math", "os", "random", "re", "sys", "time")},
    "np": "numpy",
    "pd": "pandas",
    "pl": "polars",
}
_IMPORTS: Final = {name: (module, name) for module, names in _FROM.items() for name in names}
#: How many further uses of a name are shown.
_PLACES: Final = 5


def import_line(name: str) -> str | None:
    """Return the line that imports what a name is known for; None if it is not known.

    ``Retry`` gives ``from levada import Retry``, and ``pd`` gives ``import pandas as pd``.
    """
    if name in _IMPORTS:
        return f"from {_IMPORTS[name][0]} import {name}"
    module = _MODULES.get(name)
    if module is None:
        return None
    return f"import {module}" if module == name else f"import {module} as {name}"


def bind_unimported(module: Module, reports: Reports) -> None:
    """Report known names that a module uses without their import, and bind them."""
    if module.stars:  # they may come from there
        return
    uses: dict[str, list[ast.Name]] = {}
    for node in _names(module):
        is_known = node.id in _IMPORTS or node.id in _MODULES
        if is_known and node.id not in module.bindings and node.id not in BUILTINS:
            uses.setdefault(node.id, []).append(node)
    for name, places in uses.items():
        first, *others = sorted(places, key=lambda node: (node.lineno, node.col_offset))
        reports.error(
            "undefined-name",
            module.span(first),
            f"`{name}` is not imported",
            labels=[Label(module.span(node), "used here too") for node in others[:_PLACES]],
            help=f"write `{import_line(name)}`",
        )
        target, member = _IMPORTS.get(name) or (_MODULES[name], None)
        module.bindings[name] = Import(target, member, module.tree.body[0])


def _names(module: Module) -> Iterator[ast.Name]:
    """Yield the names that are read when a module is imported, and those of its pipelines."""
    deferred = _defers_annotations(module.tree)
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _loaded(node.decorator_list)
            yield from _loaded(_defaults(node))
            if not deferred:
                yield from _loaded(_annotations(node))
            if _is_pipeline(node):
                yield from _loaded(node.body, bound=_bound(node))
        elif isinstance(node, ast.ClassDef):
            yield from _loaded([*node.decorator_list, *node.bases])
            fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
            yield from _loaded([] if deferred else [each.annotation for each in fields])
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield from _loaded([node.value], bound=_bound(node.value))


def _defers_annotations(tree: ast.Module) -> bool:
    """Whether annotations are never evaluated, so that a missing import does no harm."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _is_pipeline(node: FunctionNode) -> bool:
    targets = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    names = [each.attr if isinstance(each, ast.Attribute) else each for each in targets]
    return any(
        name == "pipeline" or (isinstance(name, ast.Name) and name.id == "pipeline")
        for name in names
    )


def _defaults(node: FunctionNode) -> list[ast.expr]:
    given = node.args
    return [*given.defaults, *(each for each in given.kw_defaults if each is not None)]


def _annotations(node: FunctionNode) -> list[ast.expr]:
    given = node.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    found = [each.annotation for each in arguments] + [node.returns]
    return [each for each in found if each is not None]


def _loaded(nodes: Iterable[ast.AST], bound: frozenset[str] = frozenset()) -> Iterator[ast.Name]:
    for node in nodes:
        for each in walk(node):
            if isinstance(each, ast.Name) and each.id not in bound:
                yield each


def _bound(node: ast.AST) -> frozenset[str]:
    """Return the names that something binds itself: parameters, variables, own imports."""
    found: set[str] = set()
    for each in walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store | ast.Del):
            found.add(each.id)
        elif isinstance(each, ast.arg):
            found.add(each.arg)
        elif isinstance(each, ast.alias):
            found.add((each.asname or each.name).partition(".")[0])
    return frozenset(found)
