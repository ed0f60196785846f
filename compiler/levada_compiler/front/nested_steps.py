"""Steps that a pipeline declares in its body.

A task never calls the pipeline's function. It finds the definition of such a step in the source,
and runs it as if it stood at the top level of the module. So the step may use what the module
has, and no variable of its pipeline.
"""

from __future__ import annotations

import ast

from levada import code_units

from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

    from .declare import Declarations

    #: What is wrong, what to write instead, and the lines to write.
    Problem: TypeAlias = tuple[str, str, tuple[str, ...]]

_MOVE: Final = "move it to the top level of the module: there a run can find it"


def declared(declarations: Declarations, module: m.Module) -> list[m.Function]:
    """Return the steps that pipelines of a module declare.

    Steps and pipelines that are declared in other functions and in classes are reported.
    """
    top = set(map(id, module.functions))
    found = [
        declarations.nested_step(_outer(module, node), module, node)
        for node in m.statements(module.tree.body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and id(node) not in top
        and any(_declaring(declarations, module, node))
    ]
    return [function for function in found if function is not None]


def read(
    declarations: Declarations, outer: m.FunctionNode | None, module: m.Module, node: m.FunctionNode
) -> m.Function | None:
    """Return the step that ``node`` declares; None after a report of what no run could find.

    ``outer`` is the function of ``module`` that it is in, None for a class.
    """
    decorator, kind = next(_declaring(declarations, module, node))
    problem = _problem(declarations, outer, module, node, kind)
    if problem is not None:
        message, way_out, edit = problem
        span = module.span(decorator)
        declarations.reports.error("nested-step", span, message, help=way_out, edit=edit)
        return None
    return m.Function(module, node, pipeline=outer)


def _outer(module: m.Module, node: m.FunctionNode) -> m.FunctionNode | None:
    """Return the function at the top level of a module that has ``node`` in it."""
    inside = (each for each in module.functions if any(node is item for item in ast.walk(each)))
    return next(inside, None)


def _declaring(
    declarations: Declarations, module: m.Module, node: m.FunctionNode
) -> Iterator[tuple[ast.expr, str]]:
    """Yield the decorators that declare a step or a pipeline, each with which of the two."""
    for decorator in node.decorator_list:
        if kind := declarations.decorator_kind(module, decorator):
            yield decorator, kind


def _problem(
    declarations: Declarations,
    outer: m.FunctionNode | None,
    module: m.Module,
    node: m.FunctionNode,
    kind: str,
) -> Problem | None:
    name = node.name
    if outer is None:
        return f"`{name}` is declared as a {kind} within a function or a class", _MOVE, ()
    where = f"`{outer.name}`"
    if kind != "step" or declarations.kind(m.Function(module, outer)) != "pipeline":
        return f"`{name}` is declared as a {kind} within {where}", _MOVE, ()
    if node not in outer.body:
        way_out = f"declare it in the body of {where} itself, or at the top level of the module"
        return f"`{name}` is declared as a step in a block of {where}", way_out, ()
    if outer not in module.tree.body:
        message = f"`{name}` is declared as a step in {where}, which is itself in a block"
        return message, _MOVE, ()
    if code_units.nested_function(outer, name) not in (node, None):
        return f"`{name}` is declared twice in {where}", "give one of them another name", ()
    if isinstance(node, ast.FunctionDef) and isinstance(outer, ast.FunctionDef):
        return _used_of(outer, node)
    return None


def _used_of(outer: ast.FunctionDef, node: ast.FunctionDef) -> Problem | None:
    """Say which variables of its pipeline a step uses: in a run they have no value."""
    used = sorted(code_units.free_names(node) & code_units.local_names(outer))
    if not used:
        return None
    listed = ", ".join(f"`{name}`" for name in used)
    message = f"the step `{node.name}` uses {listed} of `{outer.name}`"
    imports = (each for each in outer.body if isinstance(each, ast.Import | ast.ImportFrom))
    modules = {alias.asname or alias.name.partition(".")[0] for i in imports for alias in i.names}
    if modules.issuperset(used):
        return message, f"import {listed} in the step, or at the top of the module", ()
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    if any(isinstance(each, definitions) and each.name in used for each in outer.body):
        return message, f"{_MOVE}, and what it uses too", ()
    types = {item.arg: item.annotation for item in ast.walk(outer) if isinstance(item, ast.arg)}
    way_out = f"pass {listed} as an argument: a task does not have the variables of its pipeline"
    return message, way_out, _head(node, [ast.arg(name, types.get(name)) for name in used])


def _head(node: m.FunctionNode, added: list[ast.arg]) -> tuple[str, ...]:
    """Return the head of a function with more parameters."""
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
