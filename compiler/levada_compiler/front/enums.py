"""Enumerations of the project: their members, and what a pipeline may do with one.

To the orchestrator a member is its value, as JSON. A step is given the member itself: the run
makes it of the value (``member`` in ``levada.expressions``) without importing anything.
"""

from __future__ import annotations

import ast
import json

from ..lowering.values import Level, Value, constant, display
from ..program.ir import Const, Member, Type
from ..slotted import dataclass, replace
from . import constants, types
from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..diagnostics.diagnostic import Span
    from ..lowering.frame import Frame
    from .declare import Declarations

_EQUALITY = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A class, and its members with their values; ``aliases`` are more names of some.

    ``problem`` says why the members are not known. Those of a ``plain`` one are no numbers or
    texts themselves.
    """

    key: str
    members: tuple[tuple[str, int | str], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    plain: bool = True
    problem: str = ""

    @property
    def type(self) -> Type:
        """The type of its members, with their values."""
        values = tuple(json.dumps(value, ensure_ascii=False) for _, value in self.members)
        return Type(self.key, values=values, text=self.key.partition(":")[2])


def read(modules: m.Modules, owner: m.Class) -> Enumeration | None:
    """What is known of an enumeration; None for another class."""
    bases = set(_bases(modules, owner, frozenset()))
    if not bases & m.ENUMS:
        return None
    if bases & {"enum.Flag", "enum.IntFlag"}:
        return Enumeration(owner.key, problem="the members of a flag can be combined")
    plain = not bases & m.VALUE_TYPES.keys()
    try:
        members = _members(modules, owner, bases)
    except constants.NotConstantError as error:
        return Enumeration(owner.key, problem=error.why)
    names: dict[object, str] = {}
    for name, value in members.items():
        names.setdefault(value, name)
    aliases = tuple((n, names[v]) for n, v in members.items() if names[v] != n)
    return Enumeration(owner.key, tuple((n, members[n]) for n in names.values()), aliases, plain)


def _bases(modules: m.Modules, owner: m.Class, seen: frozenset[str]) -> Iterator[str]:
    for base in owner.node.bases:
        found = modules.resolve(owner.module, base)
        if isinstance(found, m.Class) and found.key not in seen:
            yield from _bases(modules, found, seen | {owner.key})
        elif isinstance(found, m.External):
            yield found.name
        elif found is None:
            yield ast.unparse(base)


def _members(modules: m.Modules, owner: m.Class, bases: set[str]) -> dict[str, int | str]:
    nodes = list(_assignments(owner))
    autos = [_is_auto(modules, owner, node.value) for node in nodes]
    if nodes and all(autos):
        by_name = "enum.StrEnum" in bases or "str" in bases
        names = [_name(node) for node in nodes]
        return {name: name.lower() if by_name else i for i, name in enumerate(names, 1)}
    if any(autos):
        node = nodes[autos.index(True)]
        why = f"`{_name(node)}` is `auto()` beside values that are written out"
        raise constants.NotConstantError(node, why)
    return {_name(node): _value(modules, owner, node) for node in nodes}


def _assignments(owner: m.Class) -> Iterator[ast.Assign]:
    """The statements that make members. Raises NotConstantError if there is anything unusual."""
    for node in owner.node.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                yield node
            case ast.FunctionDef(name="__new__" | "__init__" | "_generate_next_value_" as name):
                raise constants.NotConstantError(node, f"`{name}` makes its values")
            case ast.FunctionDef() | ast.Pass() | ast.Expr(value=ast.Constant()):
                continue
            case _:
                why = f"`{ast.unparse(node).splitlines()[0]}` is neither a member nor a method"
                raise constants.NotConstantError(node, why)


def _name(node: ast.Assign) -> str:
    (target,) = node.targets
    return ast.unparse(target)


def _is_auto(modules: m.Modules, owner: m.Class, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or node.args or node.keywords:
        return False
    found = modules.resolve(owner.module, node.func)
    return isinstance(found, m.External) and found.name == "enum.auto"


def _value(modules: m.Modules, owner: m.Class, node: ast.Assign) -> int | str:
    member = modules.class_member(owner, _name(node))
    written = modules.member(member, "value") if isinstance(member, m.EnumMember) else None
    value: object = None
    if isinstance(written, m.Constant):
        value = constants.Folder(modules, owner.module).constant(written, node.value)
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    why = f"the value of `{_name(node)}` is not known to be a text or a whole number"
    raise constants.NotConstantError(node, why)


# ---------------------------------------------------------------------------- values


def member(found: Enumeration, value: Value, kind: Type) -> Value:
    """The member of which ``value`` is the value (None where that is none)."""
    span = value.expr.span
    return Value(Member(found.key, found.members, value.expr, span), kind, Level.PARAMETER)


def constant_member(found: Enumeration, name: str, span: Span) -> Value | None:
    """A member by its name."""
    name = dict(found.aliases).get(name, name)
    value = dict(found.members).get(name)
    if value is None:
        return None
    expr = Member(found.key, ((name, value),), Const(value, span), span)
    return Value(expr, found.type, Level.PARAMETER)


def value_of(value: Value) -> Value:
    """The value of a member, and of the members in a list or a tuple."""
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
    frame: Frame, node: ast.Compare, operands: list[Value]
) -> tuple[ast.Compare, list[Value]]:
    """A comparison of members as one of their values, where that is the same; else as it is."""
    declarations = frame.building.declarations
    found = [_enumeration(declarations, operand) for operand in operands]
    known = {one.key: one for one in found if one is not None}
    if not known:
        return node, operands
    values = [value_of(operand) for operand in operands]
    plain = any(one.plain for one in known.values())
    alike = len(known) == 1 and all(isinstance(op, _EQUALITY) for op in node.ops)
    if plain and not (alike and all(map(_is_member_or_none, operands))):
        return node, operands
    ops = [_by_value(op, values[i : i + 2]) for i, op in enumerate(node.ops)]
    return ast.copy_location(ast.Compare(node.left, ops, node.comparators), node), values


def _enumeration(declarations: Declarations, operand: Value) -> Enumeration | None:
    for each in (operand, *(operand.parts or ())):
        if isinstance(each.expr, Member):
            return declarations.enumeration(each.expr.enum)
    return None


def _is_member_or_none(operand: Value) -> bool:
    if operand.parts is not None:
        return all(_is_member_or_none(part) for part in operand.parts)
    return isinstance(operand.expr, Member) or operand.static is None


def _by_value(op: ast.cmpop, sides: list[Value]) -> ast.cmpop:
    """``is`` between members is ``==`` between their values."""
    if isinstance(op, ast.Is | ast.IsNot) and all(side.static is not None for side in sides):
        return ast.Eq() if isinstance(op, ast.Is) else ast.NotEq()
    return op
