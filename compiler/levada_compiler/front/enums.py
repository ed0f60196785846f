"""Enumerations of the project: their members, and what a pipeline may do with one.

To the orchestrator a member is its value, as JSON. A step is given the member itself: the run
makes it of the value (``member`` in ``levada.expressions``) without importing anything.
"""

from __future__ import annotations

import ast
import json

from ..program.ir import Type
from ..slotted import dataclass
from . import constants
from . import modules as m
from .not_constant import NotConstantError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A class, and its members with their values, which are in their ``type`` too.

    ``aliases`` are more names of some.

    ``problem`` says why the members are not known. Those of a ``plain`` one are no numbers or
    texts themselves.
    """

    key: str
    type: Type
    members: tuple[tuple[str, int | str], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    plain: bool = True
    problem: str = ""


def read(modules: m.Modules, owner: m.Class) -> Enumeration | None:
    """What is known of an enumeration; None for another class."""
    bases = set(_bases(modules, owner, frozenset()))
    if not bases & m.ENUMS:
        return None
    if bases & {"enum.Flag", "enum.IntFlag"}:
        return _unknown(owner, "the members of a flag can be combined")
    plain = not bases & m.VALUE_TYPES.keys()
    try:
        members = _members(modules, owner, bases)
    except NotConstantError as error:
        return _unknown(owner, error.why)
    names: dict[object, str] = {}
    for name, value in members.items():
        names.setdefault(value, name)
    aliases = tuple((n, names[v]) for n, v in members.items() if names[v] != n)
    distinct = tuple((name, members[name]) for name in names.values())
    return Enumeration(owner.key, _type_of(owner, distinct), distinct, aliases, plain)


def _unknown(owner: m.Class, problem: str) -> Enumeration:
    return Enumeration(owner.key, _type_of(owner, ()), problem=problem)


def _type_of(owner: m.Class, members: tuple[tuple[str, int | str], ...]) -> Type:
    values = tuple(json.dumps(value, ensure_ascii=False) for _, value in members)
    return Type(owner.key, values=values, text=owner.key.partition(":")[2])


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
        raise NotConstantError(node, why)
    return {_name(node): _value(modules, owner, node) for node in nodes}


def _assignments(owner: m.Class) -> Iterator[ast.Assign]:
    """The statements that make members. Raises NotConstantError if there is anything unusual."""
    for node in owner.node.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                yield node
            case ast.FunctionDef(name="__new__" | "__init__" | "_generate_next_value_" as name):
                raise NotConstantError(node, f"`{name}` makes its values")
            case ast.FunctionDef() | ast.Pass() | ast.Expr(value=ast.Constant()):
                continue
            case _:
                why = f"`{ast.unparse(node).splitlines()[0]}` is neither a member nor a method"
                raise NotConstantError(node, why)


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
    raise NotConstantError(node, why)
