"""The table through which the parts of the lowering recurse into expressions.

Each form of the syntax has one handler, registered by the module that lowers it. The modules call
each other through :func:`expression`, so that none imports one that imports it. What few
pipelines have is imported when a pipeline has it.
"""

from __future__ import annotations

import ast
from importlib import import_module

from ..front import constants
from ..front.not_constant import NotConstantError
from .values import poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, TypeAlias

    from .frame import Frame
    from .values import Lowered

    ExpressionHandler: TypeAlias = Callable[[Frame, Any], Lowered]

EXPRESSIONS: Final[dict[type[ast.expr], ExpressionHandler]] = {}
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
#: What to write instead of a form that is outside the language: what it is, and the way out.
REFUSED: Final[dict[type[ast.expr], tuple[str, str]]] = {
    ast.Lambda: ("a lambda", "write a step: a top-level function under `@step`"),
    ast.Await: ("`await`", "call the step; the engine waits for it where its result is needed"),
    ast.Yield: ("`yield`", "return the pipeline's outputs with `return`"),
    ast.YieldFrom: ("`yield from`", "return the pipeline's outputs with `return`"),
    ast.Starred: ("`*` here", "write the items one by one"),
    ast.Slice: ("a slice here", "slice a list: `xs[1:3]`"),
}


def expression(frame: Frame, node: ast.expr) -> Lowered:
    """Return the value of an expression; poison after a diagnostic."""
    return frame.as_value(callable_or_value(frame, node), node)


def callable_or_value(frame: Frame, node: ast.expr) -> Lowered:
    """Return what an expression stands for, which may be a function, a class or a module."""
    if isinstance(node, _COMPREHENSIONS) and type(node) not in EXPRESSIONS:
        import_module(f"{__package__}.comprehensions")
    handler = EXPRESSIONS.get(type(node))
    if handler is None:
        return unsupported(frame, node)
    try:
        value = handler(frame, node)
    except NotConstantError as error:
        return not_constant(frame, error)
    if isinstance(node, ast.Name) and node.id in frame.scope.names:
        return value
    return frame.made(value, frame.span(node))


def not_constant(frame: Frame, error: NotConstantError) -> Lowered:
    """Report a constant that has no value."""
    elsewhere = error.module is not None and error.module is not frame.module
    span = error.module.span(error.node) if elsewhere and error.module else frame.span(error.node)
    constants.report(frame.reports, error, span)
    return poison(span)


def unsupported(frame: Frame, node: ast.expr) -> Lowered:
    """Report an expression that is outside the language."""
    what, way_out = REFUSED.get(
        type(node), (f"this expression ({type(node).__name__})", "move it into a step")
    )
    frame.reports.error(
        "unsupported-expression",
        frame.span(node),
        f"{what} cannot be used in a pipeline",
        help=way_out,
    )
    for item in ast.walk(node):
        if isinstance(item, ast.NamedExpr):
            frame.bind(item.target.id, poison(frame.span(item)))
    return poison(frame.span(node))
