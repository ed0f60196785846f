"""Names that a condition assigns by `:=` in an operand that is not always evaluated.

After `if a and (x := f()):` the name has a value only where the whole condition holds: there every
operand of `and` was evaluated. Where a condition with `or` does not hold, every operand was, too.
"""

from __future__ import annotations

import ast

from ..slotted import replace
from .values import Lowered, Unusable, constant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from . import flow
    from .frame import Frame
    from .values import Scope

#: Expressions of which not every part is evaluated, or not with the names around.
_NOT_ALWAYS: Final = (
    *(ast.BoolOp, ast.IfExp, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def remember(
    frame: Frame, evaluated: Scope, choose: flow.Choose, span: Span, *, is_then: bool
) -> None:
    """Keep the values of names that only one side of a decision inside a condition assigns."""
    none = constant(None, span)
    for name, binding in frame.scope.names.items():
        value = evaluated.names.get(name)
        if not isinstance(binding, Unusable) or not isinstance(value, Lowered):
            continue
        if binding.value is None and value.definition is None:
            found = choose(value, none, name) if is_then else choose(none, value, name)
            kept = replace(found, type=value.type)
            frame.scope.names[name] = replace(binding, value=kept)


def prove(frame: Frame, test: ast.expr, *, holds: bool) -> None:
    """Give the names of a condition their values, where it is known whether it holds."""
    found = frame.scope.names.values()
    if not any(isinstance(each, Unusable) and each.value is not None for each in found):
        return  # a chain of operands is proven once for each: it must cost nothing to look
    for name in _evaluated(test, holds=holds):
        binding = frame.scope.names.get(name)
        if isinstance(binding, Unusable) and binding.value is not None:
            frame.scope.names[name] = binding.value


def _evaluated(test: ast.expr, *, holds: bool) -> Iterator[str]:
    """Yield the names that were assigned if a condition holds, or if it does not."""
    match test:
        case ast.BoolOp(op=op, values=operands):
            if isinstance(op, ast.And) is holds:
                for operand in operands:
                    yield from _evaluated(operand, holds=holds)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _evaluated(operand, holds=not holds)
        case ast.NamedExpr(target=target, value=value):
            yield target.id
            yield from _evaluated(value, holds=holds)
        case _:
            yield from _always_assigned(test)


def _always_assigned(node: ast.AST) -> Iterator[str]:
    if isinstance(node, _NOT_ALWAYS):
        return
    if isinstance(node, ast.NamedExpr):
        yield node.target.id
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Compare):
        children = [node.left, node.comparators[0]]  # a chain may stop after these
    for child in children:
        yield from _always_assigned(child)
