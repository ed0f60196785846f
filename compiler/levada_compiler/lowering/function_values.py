"""Functions as arguments of the evaluator's functions: a ``key``, or a type to ask for."""

from __future__ import annotations

import ast

from levada import operations

from ..front import modules as m
from ..program.ir import FunctionName, Item, Lambda, Value
from ..program.substitution import substituted
from . import blocks
from .expressions import definition_of
from .lowering import expression
from .values import ANY, Lowered, display, made_of, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from ..program.ir import Expr, Type
    from .frame import Frame

#: Where functions take a function: positions, and names of keywords.
TAKING: Final[dict[str, tuple[int | str, ...]]] = {
    **dict.fromkeys(("min", "max", "sorted"), ("key",)),
    "isinstance": (1,),
    "itertools.accumulate": (1, "func"),
}


def function_value(frame: Frame, node: ast.expr, kind: Type = ANY) -> Lowered:
    """Return a function that is given to another one, or a tuple of types.

    ``kind`` is the type of what the function will be given. A function of the project becomes a
    lambda that computes what it returns.
    """
    span = frame.span(node)
    if isinstance(node, ast.Tuple):
        return display("tuple", tuple(function_value(frame, each) for each in node.elts), span)
    if isinstance(node, ast.Lambda):
        return _lambda(frame, node, kind)
    known = _known(frame, node)
    if known is not None:
        return Lowered(FunctionName(known, span), ANY)
    is_function = isinstance(frame.building.modules.resolve(frame.module, node), m.Function)
    if is_function or _is_method(frame, node):
        return _lambda(frame, _calling(node), kind)
    return expression(frame, node)


def _known(frame: Frame, node: ast.expr) -> str | None:
    """Return the evaluator's name of a function or a type of Python's."""
    first = node
    while isinstance(first, ast.Attribute):
        first = first.value
    if not isinstance(first, ast.Name) or first.id in frame.scope.names or first.id in frame.locals:
        return None
    definition = frame.building.modules.resolve(frame.module, node)
    if isinstance(definition, m.External):
        return operations.QUALIFIED.get(definition.name)
    name = ast.unparse(node)
    is_builtin = definition is None and first.id in m.BUILTINS
    return name if is_builtin and operations.named(name) is not None else None


def _is_method(frame: Frame, node: ast.expr) -> bool:
    """Return whether an expression names a method of a value, such as ``scores.get``."""
    if not isinstance(node, ast.Attribute) or definition_of(frame, node.value) is not None:
        return False
    return any(node.attr in names for names in operations.METHODS.values())


def _calling(node: ast.expr) -> ast.Lambda:
    """Return ``lambda item: node(item)``, at the place of the node."""
    item = ast.Name("item", ast.Load())
    arguments = ast.arguments([], [ast.arg("item")], None, [], [], None, [])
    made = ast.Lambda(arguments, ast.Call(node, [item], []))
    for each in ast.walk(made):
        if each is not node and isinstance(each, ast.expr | ast.arg):
            ast.copy_location(each, node)
    return made


def _lambda(frame: Frame, node: ast.Lambda, kind: Type) -> Lowered:
    span = frame.span(node)
    given = [*node.args.posonlyargs, *node.args.args]
    if node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.defaults:
        frame.reports.error(
            "unsupported-expression",
            span,
            "a lambda of a pipeline has plain parameters, without defaults",
            help="name them: `key=lambda item: item.score`",
        )
        return poison(span)
    identity = frame.new_id("lambda_1")
    names = tuple(frame.new_variable(each.arg) for each in given)
    outer = frame.scope
    frame.scope = outer.copy()
    frame.depth += 1
    with frame.inner_region() as nodes:
        for each, name in zip(given, names, strict=True):
            frame.scope.names[each.arg] = Lowered(Item(identity, name, span), kind)
        value = expression(frame, node.body)
    frame.depth -= 1
    frame.scope = outer
    if any(map(blocks.is_task, nodes)):
        frame.reports.error(
            "unsupported-expression",
            span,
            "a lambda cannot call a step: nothing says when it would run",
            help="call the step for each item first: `scores = [score(x) for x in items]`",
        )
        return poison(span)
    if value.poisoned:
        return poison(span)
    values: dict[str, Expr] = {}
    for each_node in nodes:
        assert isinstance(each_node, Value)  # noqa: S101 - there are no tasks
        values[each_node.id] = substituted(each_node.value, values)
    body = substituted(value.expr, values)
    return made_of(Lambda(identity, names, body, span), ANY, (value,), raises=value.raises)
