"""Whether a declared function is an ordinary one."""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.reports import Reports
    from . import modules as m
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
