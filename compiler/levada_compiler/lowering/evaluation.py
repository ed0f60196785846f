"""Where a value is computed: where it is used, unless its failure would then be another one's.

The nodes that use an expression evaluate it. Python evaluates it where it is assigned: a ``try``
around that place handles what it raises, one around a place where it is used does not. So in a
pipeline with a handler, whatever may raise is computed where it is assigned by a decision of its
own, one that decides nothing.
"""

from __future__ import annotations

import ast

from ..front import modules as m
from ..program.ir import (
    Attribute,
    Binary,
    Branch,
    Compare,
    Const,
    Display,
    Field,
    Format,
    Param,
    Subscript,
    Unary,
)
from .flow import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr
    from .frame import Frame
    from .values import Value

EQUALITY: Final = frozenset(("==", "!=", "is", "is not"))


def has_handler(function: m.FunctionNode) -> bool:
    """Whether there is an ``except`` in a pipeline."""
    inside = m.statements(function.body)
    return any(isinstance(node, ast.Try) and node.handlers for node in inside)


def settle(
    frame: Frame, values: Iterable[Value], name: str, span: Span, *, always: bool = False
) -> None:
    """Compute here what may raise of ``values``, before ``name`` stands for them.

    With ``always`` even where there is no handler: one may be where the values go.
    """
    if not (frame.handles or always):
        return
    known = frame.building.settled
    pending = [
        value.expr
        for value in values
        if not (value.is_static or value.poisoned) and _may_raise(frame, value.expr)
    ]
    if not pending:
        return
    known.update((id(expr), expr) for expr in pending)
    # A list with something in it is true, whatever that is.
    condition = Display("list", tuple(pending), span)
    frame.emit(Branch(frame.new_id(f"compute_{name}"), condition, (), (), frame.barrier, span))


def _may_raise(frame: Frame, expr: Expr) -> bool:
    known = frame.building.settled
    stack = [expr]
    while stack:
        item = stack.pop()
        if id(item) in known:
            continue
        if _raises(frame, item):
            return True
        stack.extend(children(item))
    return False


def _raises(frame: Frame, expr: Expr) -> bool:
    """Whether an expression may raise by itself, its parts aside."""
    match expr:
        case Subscript():
            return True
        case Attribute(name=name):
            return name[:1].isdecimal() and "of" in name  # there may be another number of items
        case Format(parts=parts):
            return any(isinstance(part, Field) and part.format for part in parts)
        case Binary(op="+" | "-" | "*", left=left, right=right):
            return not (_is_number(frame, left) and _is_number(frame, right))
        case Unary(op=op, operand=operand):
            return op != "not" and not _is_number(frame, operand)
        case Compare(operands=operands, ops=ops):
            return not EQUALITY.issuperset(ops) and not all(_is_number(frame, o) for o in operands)
    return isinstance(expr, Binary)


def _is_number(frame: Frame, expr: Expr) -> bool:
    match expr:
        case Const(value=value):
            return isinstance(value, int | float)
        case Param(name=name):
            return name in frame.building.numbers
        case Binary(op="+" | "-" | "*", left=left, right=right):
            return _is_number(frame, left) and _is_number(frame, right)
    return False
