"""Whether a declared function is an ordinary one, at the top level of its module."""

from __future__ import annotations

import ast

from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.reports import Reports
    from .declare import Declarations


def check_function(
    reports: Reports, function: m.Function, kind: str, *, lowered: bool = True
) -> None:
    """Report a step or a pipeline that is no ordinary function: the decorator refuses it.

    In a pipeline that is ``lowered``, each ``yield`` is reported where it stands.
    """
    node = function.node
    span = function.module.source.line_span(
        function.module.span(node).line, function.module.span(node).column
    )
    if isinstance(node, ast.AsyncFunctionDef):
        reports.error(
            "invalid-function",
            span,
            f"`{node.name}` is async: a {kind} is an ordinary function",
            help="write `def`; in a step, `asyncio.run(…)` runs a coroutine",
        )
    elif (kind == "step" or not lowered) and yields(function):
        reports.error(
            "invalid-function",
            span,
            f"`{node.name}` yields: a {kind} returns its result",
            help="collect into a list and return it",
        )


def yields(function: m.Function) -> bool:
    """Return whether a function is a generator."""
    node = function.node
    lines = function.module.source.lines[node.lineno - 1 : node.end_lineno]
    if not any("yield" in line for line in lines):
        return False
    stack: list[ast.AST] = list(node.body)
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(item))
    return False


def check_decorators(reports: Reports, declarations: Declarations, function: m.Function) -> None:
    """Report decorators beside ``@pipeline``, which would not run in an orchestrator."""
    seen = False
    for decorator in function.node.decorator_list:
        kind = declarations.decorator_kind(function.module, decorator)
        if kind == "pipeline" and not seen:
            seen = True
            continue
        reports.error(
            "invalid-decorator",
            function.module.span(decorator),
            f"`@{ast.unparse(decorator)}` cannot be used beside `@pipeline`: it would not be run",
            help="remove it",
        )


def nested_declarations(module: m.Module, declarations: Declarations, reports: Reports) -> None:
    """Report steps and pipelines that are not at the top level of the module."""
    top = set(map(id, module.functions))
    for node in m.statements(module.tree.body):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or id(node) in top:
            continue
        for decorator in node.decorator_list:
            kind = declarations.decorator_kind(module, decorator)
            if kind:
                _report_nested(module, reports, node, decorator, kind)


def _report_nested(
    module: m.Module, reports: Reports, node: m.FunctionNode, decorator: ast.expr, kind: str
) -> None:
    """Report a step within a function or class, with what to write at the top level."""
    outer = next(
        (each for each in module.functions if any(inner is node for inner in ast.walk(each))), None
    )
    way_out = "move it to the top level of the module: there a run can find it"
    edit: tuple[str, ...] = ()
    if outer is not None:
        needed = sorted(_bound(outer) & _read(node) - _bound(node) - {node.name})
        if needed:
            listed = ", ".join(f"`{name}`" for name in needed)
            way_out += f"; what it uses of `{outer.name}` ({listed}) becomes a parameter"
        types = {item.arg: item.annotation for item in ast.walk(outer) if isinstance(item, ast.arg)}
        edit = _at_top_level(node, [ast.arg(name, types.get(name)) for name in needed])
    where = "a function or a class" if outer is None else f"`{outer.name}`"
    reports.error(
        "nested-step",
        module.span(decorator),
        f"`{node.name}` is declared as a {kind} within {where}",
        help=way_out,
        edit=edit,
    )


def _bound(node: m.FunctionNode) -> set[str]:
    """Return the names that a function binds, its parameters among them."""
    found = {item.arg for item in ast.walk(node.args) if isinstance(item, ast.arg)}
    for item in (inner for statement in node.body for inner in ast.walk(statement)):
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            found.add(item.id)
    return found


def _read(node: m.FunctionNode) -> set[str]:
    names = (item for item in ast.walk(node) if isinstance(item, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _at_top_level(node: m.FunctionNode, added: list[ast.arg]) -> tuple[str, ...]:
    """Return the head of a function with more parameters, as it stands at the top level."""
    given = node.args
    plain = [*given.args, *added] if not given.defaults else [*added, *given.args]
    arguments = ast.arguments(
        given.posonlyargs,
        plain,
        given.vararg,
        given.kwonlyargs,
        given.kw_defaults,
        given.kwarg,
        given.defaults,
    )
    returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    decorators = [f"@{ast.unparse(each)}" for each in node.decorator_list]
    return (*decorators, f"def {node.name}({ast.unparse(arguments)}){returns}:", "    …")
