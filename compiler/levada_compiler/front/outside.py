"""What is outside of the project: installed distributions, and what is not there at all.

A distribution is open if a pipeline names something of it that it can use. Only open ones are
read as the project's own modules are: steps and pipelines, constants, enumerations, classes. So
the type of a frame costs nothing but its name.
"""

from __future__ import annotations

import ast
import sys

from levada import distributions

from ..diagnostics.reports import did_you_mean
from . import modules as m
from . import types
from .walking import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

    from levada.project import Project

    from ..diagnostics.diagnostic import Span

#: Packages whose classes are known by their names: there is nothing to read in them.
KNOWN: Final = frozenset(
    (
        *("annotated_types", "attr", "attrs", "matplotlib", "numpy", "pandas", "PIL", "polars"),
        *("pyarrow", "pydantic", "pydantic_core", "sklearn", "torch", "typing_extensions"),
    )
)


def open_named(modules: m.Modules, function: m.Function, kind: str) -> None:
    """Open the distributions of what a step names in its settings, and a pipeline anywhere.

    Of annotations those of a pipeline's parameters count, since a run's values are made by these,
    and, if the pipeline takes attributes of what steps return, those of what these return.
    """
    node, opener = function.node, _Opener(modules)
    opener.open(function.module, node.decorator_list)
    if kind == "pipeline":
        opener.open(function.module, _evaluated(node))
        if any(map(opener.is_of_value(function.module), walk(node))):
            for called in opener.functions:
                if (returns := types.unquoted(called.node.returns)) is not None:
                    opener.open(called.module, (returns,))


class _Opener:
    """Follows names, through constants of the project too."""

    def __init__(self, modules: m.Modules) -> None:
        self.modules = modules
        self.seen: set[ast.AST] = set()
        self.functions: list[m.Function] = []  #: those that were named

    def open(self, module: m.Module, nodes: Iterable[ast.AST]) -> None:
        """Open what these name."""
        for name in _names(nodes):
            found = self._resolved(module, name)
            if isinstance(found, m.Function):
                self.functions.append(found)
            elif isinstance(found, m.Constant) and found.value and found.node not in self.seen:
                self.seen.add(found.node)
                self.open(found.module, (found.value,))

    def _resolved(self, module: m.Module, name: ast.expr) -> m.Definition | None:
        """What a name refers to once the distributions on the way to it are open."""
        found = self.modules.resolve(module, name)
        while isinstance(found, m.External) and found.name.partition(".")[0] not in KNOWN:
            if not self._is_usable(self.modules.outside(found.name)):
                break
            self.modules.open(found.name)
            before, found = found, self.modules.resolve(module, name)
            if found == before:
                break
        return found

    def is_of_value(self, module: m.Module) -> Callable[[ast.AST], bool]:
        """Tell attributes of local names from those of modules and classes."""
        return lambda node: (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and self.modules.lookup(module, node.value.id) is None
        )

    def _is_usable(self, found: m.Definition | None) -> bool:
        if not isinstance(found, m.Function):
            return isinstance(found, m.Class | m.Constant | m.EnumMember)
        return found.making is not None or any(
            isinstance(given, m.External) and given.name.startswith("levada.")
            for decorator in found.node.decorator_list
            if (given := self._callee(found.module, decorator)) is not None
        )

    def _callee(self, module: m.Module, decorator: ast.expr) -> m.Definition | None:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        return self.modules.resolve(module, target)


def _evaluated(node: m.FunctionNode) -> Iterator[ast.AST]:
    """Yield what a pipeline evaluates, and the annotations of its parameters."""
    yield from node.args.defaults
    yield from (default for default in node.args.kw_defaults if default is not None)
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        if (annotation := types.unquoted(argument.annotation)) is not None:
            yield annotation
    yield from node.body


def _names(nodes: Iterable[ast.AST]) -> Iterator[ast.Name | ast.Attribute]:
    """Yield the dotted names in some syntax, each as a whole."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name | ast.Attribute) and _is_dotted(node):
            yield node
        elif isinstance(node, ast.AnnAssign):
            pending += [part for part in (node.target, node.value) if part is not None]
        elif isinstance(node, ast.Subscript) and _is_annotated(node):
            # What follows the type are limits, of libraries that are known.
            pending.append(node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice)
        else:
            pending += ast.iter_child_nodes(node)


def _is_dotted(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _is_annotated(node: ast.Subscript) -> bool:
    value = node.value
    return getattr(value, "attr", getattr(value, "id", "")) == "Annotated"


# ---------------------------------------------------------------------------- what is not there


def is_there(modules: m.Modules, external: m.External) -> bool:
    """Whether the module that something is imported from is installed, or comes with Python."""
    top = external.name.partition(".")[0]
    is_known = top in sys.stdlib_module_names or top == "levada"
    return is_known or modules.project.environment.has(top)


def without_source(modules: m.Modules, external: m.External) -> bool:
    """Whether something comes from an installed package that has no Python source."""
    top = external.name.partition(".")[0]
    environment = modules.project.environment
    is_installed = top not in sys.stdlib_module_names and environment.has(top)
    return is_installed and not any(environment.locate(each) for each in m.prefixes(external.name))


def unknown_member(modules: m.Modules, external: m.External) -> tuple[str, str] | None:
    """What to say of a name that the source of an installed module certainly does not define."""
    package, _, name = external.name.rpartition(".")
    owner = modules.outside(package) if package else None
    if not isinstance(owner, m.Module) or owner.stars or "__getattr__" in owner.bindings:
        return None
    if name in owner.bindings or modules.project.environment.has(external.name):
        return None
    otherwise = f"`{package}` is installed, and does not define it"
    return f"`{package}` has no `{name}`", did_you_mean(name, owner.bindings, otherwise)


def report_missing(modules: m.Modules, external: m.External, name: str, span: Span) -> None:
    """Report something of a module that is neither in the project nor installed."""
    top = external.name.partition(".")[0]
    reason, way_out = _missing(modules.project, top)
    modules.reports.error(
        "unknown-module", span, f"`{name}` comes from `{top}`, {reason}", help=way_out
    )


def _missing(project: Project, top: str) -> tuple[str, str]:
    """Why there is no module ``top``, and what to do about it."""
    packages = project.packages
    if packages is None:
        return "which is not there", "install it"
    name = distributions.normalised(top)
    if name in packages.missing:
        place = project.relative(packages.missing[name])
        return f"a path dependency, but there is no folder `{place}`", "correct its path"
    for package in packages:
        if package.name == name:
            folders = " or ".join(f"`{project.relative(each)}`" for each in package.import_folders)
            return (
                f"but the package `{name}` has no such module in {folders}",
                f"check the layout of `{project.relative(package.folder)}`",
            )
    absent = [each for each in packages.required() if each not in project.environment.distributions]
    if name in absent:
        return "a dependency that is not installed", f"run `{packages.install_command}`"
    if absent:
        listed = ", ".join(f"`{each}`" for each in absent)
        return (
            "which is neither a module of this project nor installed, as the "
            f"{'dependency' if len(absent) == 1 else 'dependencies'} {listed} "
            f"{'is' if len(absent) == 1 else 'are'} not",
            f"run `{packages.install_command}`",
        )
    return (
        "which is neither a module of this project nor installed",
        f"check where `{top}` lies; or add the package that has it to the dependencies, "
        f"and run `{packages.install_command}`",
    )
