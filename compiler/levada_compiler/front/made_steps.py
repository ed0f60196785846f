"""What ``step(function, …)`` can make a step of: a function that a run finds by its name."""

from __future__ import annotations

import ast
import builtins
import keyword

from ..diagnostics.reports import did_you_mean
from . import functions, outside
from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

    from ..diagnostics.reports import Reports
    from .declare import Declarations

    #: What is wrong, and what to write instead.
    Problem: TypeAlias = tuple[str, str]

_WRAP: Final = "write a function that calls it, with `@step`"
_DEFINE: Final = "define it with `def` at the top level of a module"


def check(reports: Reports, declarations: Declarations, making: m.Making) -> None:
    """Report what is given that is not such a function, and a name that is none."""
    given = making.call.args[0]
    name = ast.unparse(given)
    found = _problem(declarations, making, name)
    modules = declarations.modules
    if found is not None:
        message, way_out = found
        reports.error("invalid-function", making.module.span(given), message, help=way_out)
    elif isinstance(making.given, m.External) and not outside.is_there(modules, making.given):
        outside.report_missing(modules, making.given, name, making.module.span(given))
    check_name(reports, making)


def check_name(reports: Reports, making: m.Making) -> None:
    """Report a ``name=`` that is no identifier, written out."""
    for each in making.call.keywords:
        if each.arg == "name" and not _is_name(each.value):
            reports.error(
                "invalid-setting",
                making.module.span(each),
                "the name of a step is a Python identifier, written out",
                help=f'write `name="{making.name}"`',
            )


def _problem(declarations: Declarations, making: m.Making, name: str) -> Problem | None:
    modules, given = declarations.modules, making.given
    if isinstance(given, m.Function):
        return _function_problem(declarations, given, name)
    if isinstance(given, m.Class | m.EnumMember):
        return f"`{name}` is a class: a step is made of a function", _WRAP
    if isinstance(given, m.Module):
        return f"`{name}` is a module: a step is made of a function", "name a function of it"
    if isinstance(given, m.External):
        return _external_problem(modules, making, given)
    if _is_made_outside(modules, given):
        return None
    return _value_problem(modules, making, name)


def _is_made_outside(modules: m.Modules, given: m.Definition | None) -> bool:
    """Whether an installed package makes what is given, as NumPy makes its functions."""
    if not isinstance(given, m.Constant) or given.owner is not None:
        return False
    return modules.project.is_installed(given.module.path)


def _function_problem(declarations: Declarations, given: m.Function, name: str) -> Problem | None:
    if declarations.kind(given) == "pipeline":
        return f"`{name}` is a pipeline already", "call it: a pipeline may call another one"
    if isinstance(given.node, ast.AsyncFunctionDef):
        return f"`{name}` is async: a step is an ordinary function", _WRAP
    if functions.yields(given):
        return f"`{name}` yields: a step returns its result", _WRAP
    return None


def _external_problem(modules: m.Modules, making: m.Making, given: m.External) -> Problem | None:
    if "." not in given.name:
        name = ast.unparse(making.call.args[0])
        return f"`{name}` is a module: a step is made of a function", "name a function of it"
    return outside.unknown_member(modules, given)


def _value_problem(modules: m.Modules, making: m.Making, name: str) -> Problem | None:
    node, given = making.call.args[0], making.given
    if isinstance(given, m.Constant) and given.owner is None and given.value is not None:
        node = given.value
    elif isinstance(node, ast.Attribute):
        return _attribute_problem(modules, making.module, node)
    elif isinstance(node, ast.Name) and given is None:
        return _builtin_problem(node.id)
    if isinstance(node, ast.Lambda):
        return "a lambda cannot be made a step: it has no name of its own", _DEFINE
    if isinstance(node, ast.Call):
        return f"`{name}` is made by a call, so nothing tells what it is before the run", _WRAP
    return f"`{name}` is not a function", _DEFINE


def _attribute_problem(modules: m.Modules, module: m.Module, node: ast.Attribute) -> Problem:
    owner = modules.resolve(module, node.value)
    if isinstance(owner, m.Module):
        otherwise = f"define it in `{owner.name}`"
        known = did_you_mean(node.attr, owner.bindings, otherwise)
        return f"`{owner.name}` has no `{node.attr}`", known
    return f"`{ast.unparse(node)}` is a method: a step is made of a function of a module", _WRAP


def _builtin_problem(name: str) -> Problem | None:
    if name not in m.BUILTINS:
        return f"`{name}` is not defined", "import it, or define it with `def`"
    if isinstance(getattr(builtins, name, None), type):
        return f"`{name}` is a class: a step is made of a function", _WRAP
    return None


def _is_name(node: ast.expr) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and text.isidentifier() and not keyword.iskeyword(text)


# ---------------------------------------------------------------------------- where it stands


def report_misplaced(modules: m.Modules, module: m.Module, reports: Reports) -> None:
    """Report ``step(…)`` and ``container(…)`` where no run finds what they make.

    That is within a function, a class or a block, or where it is not assigned.
    """
    if not _may_make(module):
        return
    for statement in module.tree.body:
        for call, is_unassigned in _calls(statement):
            if modules.is_making(module, call):
                what = ast.unparse(call)
                reports.error(
                    "nested-step",
                    module.span(call),
                    f"`{what}` makes a step, but no name is assigned to it"
                    if is_unassigned
                    else f"`{what}` makes a step within a function, a class or a block",
                    help=f"assign it at the top level of the module: `name = {what}`",
                )


def _may_make(module: m.Module) -> bool:
    """Whether a line that is no decorator calls one: to look at all of the syntax is dear."""
    names = [
        name
        for name, binding in module.bindings.items()
        if isinstance(binding, m.Import) and binding.member in ("step", "container")
    ]
    calls = tuple(f"{name}(" for name in ("step", "container", *names))
    lines = (line.lstrip() for line in module.source.lines)
    return any(not line.startswith("@") and any(call in line for call in calls) for line in lines)


def _calls(statement: ast.stmt) -> Iterator[tuple[ast.Call, bool]]:
    """Yield the calls within definitions and blocks, and those whose value is dropped."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        yield statement.value, True
    elif hasattr(statement, "body"):
        blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        calls = [
            node
            for block in blocks
            for inner in block
            for node in ast.walk(inner)
            if isinstance(node, ast.Call)
        ]
        called = {id(call.func) for call in calls}  # what is called at once is reported there
        yield from ((call, False) for call in calls if id(call) not in called)
