"""Whether the functions that settings name, as `on_failure`, are there."""

from __future__ import annotations

import ast
import json
import sys

from ..diagnostics.reports import closest, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from ..program.ir import Setting
    from . import modules as m

#: The settings whose value is ``module:function``.
SETTINGS = ("on_failure", "on_sla_miss")
#: The likeness from which a name is taken for another one misspelt: `late` is not `lateness`.
_MISSPELT = 0.85


def check(found: Iterable[Setting], modules: m.Modules, reports: Reports) -> None:
    """Report settings that name a function which is not there.

    That the module is missing is a warning: Airflow imports it by its own Python, which may have
    more than the project and its environment. It is an error where another name must be meant.
    """
    for setting in found:
        if setting.name in SETTINGS:
            name, _, function = json.loads(setting.value).partition(":")
            _check(setting, name, function, modules, reports)


def _check(
    setting: Setting, name: str, function: str, modules: m.Modules, reports: Reports
) -> None:
    project = modules.project
    path = project.locate(name) or project.environment.locate(name)
    if path is None:
        _report_module(setting, name, modules, reports)
        return
    modules.consulted.add(path)
    names = _names(path, modules)
    if names is not None and function not in names:
        otherwise = f"define `def {function}(context):` in it"
        _error(
            reports,
            setting.span,
            f"`{setting.name}` names `{function}`, which `{name}` does not define",
            did_you_mean(function, names, otherwise),
        )


def _report_module(setting: Setting, name: str, modules: m.Modules, reports: Reports) -> None:
    is_built_in = name.partition(".")[0] in sys.stdlib_module_names
    if is_built_in or modules.project.environment.has(name):  # without Python source
        return
    message = f"`{setting.name}` names the module `{name}`, which is neither here nor installed"
    near = closest(name, _modules_here(modules), _MISSPELT)
    if near is not None:
        _error(reports, setting.span, message, f"did you mean `{near}`?")
        return
    way_out = "put it in the project; if only Airflow's Python has it, `levada run` cannot call it"
    reports.warning("unknown-callback", setting.span, message, help=way_out)


def _error(reports: Reports, span: Span, message: str, way_out: str) -> None:
    reports.error("unknown-callback", span, message, help=way_out)


def _modules_here(modules: m.Modules) -> list[str]:
    """The modules and packages at the top of the project's folders."""
    from contextlib import suppress
    from pathlib import Path

    found: set[str] = set()
    for folder in modules.project.search:
        with suppress(OSError):
            found |= {path.name.removesuffix(".py") for path in Path(folder).iterdir()}
    return sorted(name for name in found if name.isidentifier())


def _names(path: str, modules: m.Modules) -> set[str] | None:
    """The names that a module defines; None if that cannot be told from its text."""
    try:
        tree = modules.code.tree(path)
    except (OSError, SyntaxError):
        return None
    names: set[str] = set()
    pending: list[ast.AST] = [*tree.body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        else:
            pending += ast.iter_child_nodes(node)
    return None if "*" in names or "__getattr__" in names else names
