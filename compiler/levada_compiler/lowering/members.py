"""Members of enumerations: a pipeline passes them on, compares them, and knows their values.

A member is its value for the orchestrator; a step is given the member itself. The run makes it of
the value (``member`` in ``levada.expressions``) without importing anything.
"""

from __future__ import annotations

import ast

from ..front import types
from ..program.ir import Attribute, Const, Member
from ..slotted import replace
from .values import Lowered, constant, display, made_of, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..diagnostics.diagnostic import Span
    from ..front.declare import Declarations
    from ..front.enums import Enumeration
    from ..program.ir import Type
    from .frame import Frame

_EQUALITY = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)


def member(found: Enumeration, value: Lowered, kind: Type) -> Lowered:
    """Return the member of which ``value`` is the value; None where that is none."""
    span = value.expr.span
    return Lowered(Member(found.key, found.members, value.expr, span), kind)


def as_member(frame: Frame, value: Lowered) -> Lowered:
    """Return a value of an enumeration's type, a field of a parameter say, as a member."""
    if isinstance(value.expr, Member) or value.type.name == "union" or value.poisoned:
        return value
    found = frame.building.declarations.enumerated(value.type)
    if found is None:
        return value
    plain = made_of(Attribute(value.expr, "value", value.expr.span), value.type, (value,))
    return member(found, plain, value.type)


def constant_member(found: Enumeration, name: str, span: Span) -> Lowered | None:
    """Return a member by its name."""
    name = dict(found.aliases).get(name, name)
    value = dict(found.members).get(name)
    if value is None:
        return None
    expr = Member(found.key, ((name, value),), Const(value, span), span)
    return Lowered(expr, found.type)


def attribute(frame: Frame, node: ast.Attribute, value: Lowered) -> Lowered:
    """Return ``member.value`` or ``member.name``."""
    span = frame.span(node)
    expr = value.expr
    if node.attr == "value":
        return value_of(value)
    if node.attr == "name" and isinstance(expr, Member):
        if len(expr.members) == 1:
            return constant(expr.members[0][0], span)
        return made_of(Attribute(expr, "name", span), types.of_value(""), (value,))
    frame.reports.error(
        "enum-member",
        span,
        f"a pipeline knows the `.value` and the `.name` of a member, and no `.{node.attr}`",
        help="pass the member to a step",
    )
    return poison(span)


def value_of(value: Lowered) -> Lowered:
    """Return the value of a member, and of the members in a list or a tuple."""
    expr = value.expr
    if isinstance(expr, Member):
        if isinstance(expr.value, Const):
            return constant(expr.value.value, expr.span)
        kinds = [types.of_value(each) for _, each in expr.members]
        optional = [types.NONE] if value.type.name == "union" else []
        return replace(value, expr=expr.value, type=types.union([*kinds, *optional]))
    if value.parts and any(isinstance(part.expr, Member) for part in value.parts):
        kind = "tuple" if value.type.name == "tuple" else "list"
        return display(kind, tuple(value_of(part) for part in value.parts), expr.span)
    return value


def compared(
    frame: Frame, node: ast.Compare, operands: list[Lowered]
) -> tuple[ast.Compare, list[Lowered]]:
    """Return a comparison of members as one of their values, where that is the same."""
    operands = [as_member(frame, operand) for operand in operands]
    found = list(_enumerations(frame.building.declarations, operands))
    known = {one.key: one for one in found}
    if not known:
        return node, operands
    values = [value_of(operand) for operand in operands]
    plain = any(one.plain for one in known.values())
    alike = len(known) == 1 and all(isinstance(op, _EQUALITY) for op in node.ops)
    if plain and not (alike and all(map(_is_member_or_none, operands))):
        return node, operands
    ops = [_by_value(op, values[i : i + 2]) for i, op in enumerate(node.ops)]
    return ast.copy_location(ast.Compare(node.left, ops, node.comparators), node), values


def _enumerations(declarations: Declarations, operands: list[Lowered]) -> Iterator[Enumeration]:
    for operand in operands:
        for each in (operand, *(operand.parts or ())):
            if isinstance(each.expr, Member):
                found = declarations.enumeration(each.expr.enum)
                if found is not None:
                    yield found


def _is_member_or_none(operand: Lowered) -> bool:
    if operand.parts is not None:
        return all(_is_member_or_none(part) for part in operand.parts)
    return isinstance(operand.expr, Member) or operand.static is None


def _by_value(op: ast.cmpop, sides: list[Lowered]) -> ast.cmpop:
    """Return the operator for values: ``is`` between members is ``==`` between these."""
    if isinstance(op, ast.Is | ast.IsNot) and all(side.static is not None for side in sides):
        return ast.Eq() if isinstance(op, ast.Is) else ast.NotEq()
    return op
