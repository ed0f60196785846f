"""Evaluates constant expressions without running anything of the user's.

The grammar is closed and every result is bounded, so that neither `9**9**9` nor a chain of
doublings can take the compiler's time or memory.
"""

from __future__ import annotations

import ast
import operator
import re

from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

MAX_BITS: Final = 4096  #: of an integer
MAX_TEXT: Final = 1_000_000  #: characters of a string
MAX_ITEMS: Final = 100_000  #: values in a container, nested ones included
MAX_WIDTH: Final = 10_000  #: a number in a format specification

BINARY: Final[dict[type[ast.operator], tuple[str, Callable[[Any, Any], object]]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.BitOr: ("|", operator.or_),
    ast.BitAnd: ("&", operator.and_),
    ast.BitXor: ("^", operator.xor),
    ast.LShift: ("<<", operator.lshift),
    ast.RShift: (">>", operator.rshift),
}
UNARY: Final[dict[type[ast.unaryop], tuple[str, Callable[[Any], object]]]] = {
    ast.Not: ("not", operator.not_),
    ast.USub: ("-", operator.neg),
    ast.UAdd: ("+", operator.pos),
    ast.Invert: ("~", operator.invert),
}
COMPARE: Final[dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], object]]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Is: ("is", operator.is_),
    ast.IsNot: ("is not", operator.is_not),
    ast.In: ("in", lambda left, right: left in right),
    ast.NotIn: ("not in", lambda left, right: left not in right),
}
CONVERSIONS: Final[dict[str, Callable[[object], object]]] = {
    "": lambda value: value,
    "s": str,
    "r": repr,
    "a": ascii,
}
#: Exceptions that an operator of the grammar may raise on constants.
FAULTS: Final = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError)


class NotConstantError(Exception):
    """An expression has no value before the run. ``rule`` is the diagnostic it deserves."""

    def __init__(
        self, node: ast.AST, why: str, rule: str = "not-constant", module: m.Module | None = None
    ) -> None:
        super().__init__(why)
        self.node = node
        self.why = why
        self.rule = rule
        self.module = module


def size(value: object, limit: int = MAX_ITEMS) -> int:
    """How many values are in ``value``, counted no further than just past ``limit``."""
    count = 0
    stack = [value]
    while stack and count <= limit:
        item = stack.pop()
        count += 1
        if isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            if len(item) > limit:
                return len(item)
            stack.extend(item)
    return count


def bounded(value: object, node: ast.AST) -> object:
    """``value``, or NotConstantError if it is too large to be a constant."""
    too_large = (
        (isinstance(value, int) and value.bit_length() > MAX_BITS)
        or (isinstance(value, str) and len(value) > MAX_TEXT)
        or (isinstance(value, list | tuple | dict | set) and size(value) > MAX_ITEMS)
    )
    if too_large:
        raise NotConstantError(node, _too_large(value), "constant-too-large")
    return value


def _too_large(value: object) -> str:
    if isinstance(value, int):
        return f"an integer of more than {MAX_BITS} bits"
    if isinstance(value, str):
        return f"a string of more than {MAX_TEXT:,} characters"
    return f"more than {MAX_ITEMS:,} values"


def binary(op: ast.operator, left: object, right: object, node: ast.AST) -> object:
    """``left op right`` on constants, bounded before it is computed."""
    found = BINARY.get(type(op))
    if found is None:
        raise NotConstantError(node, "this operator is not supported")
    _refuse_growth(op, left, right, node)
    try:
        return bounded(found[1](left, right), node)
    except FAULTS as error:
        raise NotConstantError(node, str(error), "constant-error") from error


def _refuse_growth(op: ast.operator, left: object, right: object, node: ast.AST) -> None:
    """Refuse what would be large, from the sizes of the operands alone."""
    grown = 0
    if isinstance(op, ast.Mod) and isinstance(left, str):
        raise NotConstantError(node, "`%` formatting is not supported, an f-string is")
    if isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int):
        grown = left.bit_length() * max(right, 0) - MAX_BITS if abs(left) > 1 else 0
        if right < 0 and left.bit_length() > MAX_BITS:
            grown = 1
    elif isinstance(op, ast.LShift) and isinstance(right, int):
        grown = right - MAX_BITS
    elif isinstance(op, ast.Mult):
        grown = max(_repeated(left, right), _repeated(right, left))
    if grown > 0:
        raise NotConstantError(node, "the result is too large", "constant-too-large")


def _repeated(value: object, times: object) -> int:
    """By how much ``value * times`` is over the limit."""
    if not isinstance(times, int):
        return 0
    if isinstance(value, str):
        return len(value) * times - MAX_TEXT
    if isinstance(value, list | tuple):
        return size(value) * times - MAX_ITEMS
    return 0


def unary(op: ast.unaryop, operand: object, node: ast.AST) -> object:
    """``op operand`` on a constant."""
    try:
        return UNARY[type(op)][1](operand)
    except FAULTS as error:
        raise NotConstantError(node, str(error), "constant-error") from error


def compare(op: ast.cmpop, left: object, right: object, node: ast.AST) -> object:
    """``left op right`` on constants."""
    if isinstance(op, ast.Is | ast.IsNot) and not _is_singleton(left, right):
        raise NotConstantError(
            node, "`is` is only certain with None, True and False", "constant-error"
        )
    try:
        return COMPARE[type(op)][1](left, right)
    except FAULTS as error:
        raise NotConstantError(node, str(error), "constant-error") from error


def _is_singleton(left: object, right: object) -> bool:
    return any(value is None or isinstance(value, bool) for value in (left, right))


def subscript(value: object, index: object, node: ast.AST) -> object:
    """``value[index]`` on constants."""
    try:
        return value[index]  # type: ignore[index]
    except KeyError as error:
        raise NotConstantError(node, f"there is no key {error}", "constant-error") from error
    except FAULTS as error:
        raise NotConstantError(node, str(error), "constant-error") from error


def formatted(value: object, conversion: str, spec: str, node: ast.AST) -> str:
    """One field of an f-string."""
    if any(int(number) > MAX_WIDTH for number in re.findall(r"\d{1,18}", spec)):
        raise NotConstantError(node, "the width is too large", "constant-too-large")
    if isinstance(value, set | frozenset):
        raise NotConstantError(node, "the text of a set has no certain order", "set-order")
    try:
        return format(CONVERSIONS[conversion](value), spec)
    except FAULTS as error:
        raise NotConstantError(node, str(error), "constant-error") from error


def dictionary(pairs: list[tuple[object, object]], node: ast.AST) -> dict[object, object]:
    """A dict from its pairs, whose keys must be hashable."""
    try:
        return dict(pairs)
    except TypeError as error:
        raise NotConstantError(node, str(error), "constant-error") from error


def collection(kind: str, items: list[object], node: ast.AST) -> object:
    """A list, tuple or set of ``items``."""
    try:
        return {"list": list, "tuple": tuple, "set": set}[kind](items)
    except TypeError as error:
        raise NotConstantError(node, str(error), "constant-error") from error


def enum_member(name: str, problem: str = "") -> str:
    """What to say of a member of an enumeration where a constant is expected."""
    why = f": {problem}" if problem else ", which has no JSON form"
    return f"`{name}` is a member of an enumeration{why}"


class Folder:
    """Evaluates the constant expressions of one module."""

    def __init__(
        self,
        modules: m.Modules,
        module: m.Module,
        constructors: Mapping[str, Callable[[ast.Call, Folder], object]] | None = None,
    ) -> None:
        self.modules = modules
        self.module = module
        self.constructors = constructors or {}
        self.limit: int | None = None  #: the line that module-level code may look back from
        self.owner: m.Class | None = None  #: the class whose body the expression stands in
        self._active: list[tuple[str, str]] = []

    def fold(self, node: ast.expr) -> object:
        """The value of ``node``. Raises NotConstantError."""
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handler is None:
            raise NotConstantError(node, "this is not a constant expression", module=self.module)
        return handler(node)

    def _constant(self, node: ast.Constant) -> object:
        if node.value is None or isinstance(node.value, bool | int | float | str):
            return bounded(node.value, node)
        kind = type(node.value).__name__
        raise NotConstantError(node, f"a {kind} value has no JSON form", module=self.module)

    def _name(self, node: ast.Name) -> object:
        own = self.modules.class_member(self.owner, node.id) if self.owner else None
        if isinstance(own, m.EnumMember):  # in the body itself it is still the plain value
            own = own.value
        return self._definition(own or self.modules.lookup(self.module, node.id), node)

    def _attribute(self, node: ast.Attribute) -> object:
        return self._definition(self.modules.resolve(self.module, node), node)

    def _definition(self, definition: m.Definition | None, node: ast.expr) -> object:
        name = ast.unparse(node)
        if isinstance(definition, m.Constant):
            self._refuse_later(definition, node)
            return self.constant(definition, node)
        if isinstance(definition, m.EnumMember):
            raise NotConstantError(node, enum_member(name), "enum-member", self.module)
        if isinstance(definition, m.External):
            why = f"`{name}` comes from outside the project, which is not imported while compiling"
        elif definition is None:
            why = f"`{name}` is not defined as a constant"
        else:
            why = f"`{name}` is not a constant"
        raise NotConstantError(node, why, module=self.module)

    def _refuse_later(self, constant: m.Constant, node: ast.expr) -> None:
        """Module-level code is run from top to bottom."""
        later = self.limit is not None and constant.node.lineno >= self.limit
        if later and constant.module is self.module:
            why = f"`{constant.name}` is used before it is defined"
            raise NotConstantError(node, why, "undefined-name", self.module)

    def constant(self, constant: m.Constant, node: ast.expr) -> object:
        """The value of a module-level constant, evaluated in its own module, once."""
        module, name = constant.module, constant.name
        if name in module.folded:
            return module.folded[name]
        if constant.value is None:
            why = f"`{name}` is assigned more than once, or not by a plain assignment"
            raise NotConstantError(node, why, module=self.module)
        if (module.path, name) in self._active:
            raise NotConstantError(node, f"`{name}` refers to itself", module=self.module)
        inner = Folder(self.modules, module, self.constructors)
        inner._active = [*self._active, (module.path, name)]
        inner.limit = constant.node.lineno
        inner.owner = constant.owner
        value = bounded(inner.fold(constant.value), constant.value)
        module.folded[name] = value
        return value

    def _items(self, nodes: list[ast.expr]) -> list[object]:
        items: list[object] = []
        for node in nodes:
            if not isinstance(node, ast.Starred):
                items.append(self.fold(node))
                continue
            inner = self.fold(node.value)
            if not isinstance(inner, list | tuple | dict | str):
                raise NotConstantError(node, "this cannot be unpacked here", module=self.module)
            items.extend(inner)
        return items

    def _list(self, node: ast.List) -> object:
        return bounded(self._items(node.elts), node)

    def _tuple(self, node: ast.Tuple) -> object:
        return bounded(tuple(self._items(node.elts)), node)

    def _set(self, node: ast.Set) -> object:
        return bounded(collection("set", self._items(node.elts), node), node)

    def _dict(self, node: ast.Dict) -> object:
        pairs: list[tuple[object, object]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            folded = self.fold(value)
            if key is not None:
                pairs.append((self.fold(key), folded))
            elif isinstance(folded, dict):
                pairs.extend(folded.items())
            else:
                raise NotConstantError(value, "`**` needs a dict", module=self.module)
        return bounded(dictionary(pairs, node), node)

    def _unaryop(self, node: ast.UnaryOp) -> object:
        return unary(node.op, self.fold(node.operand), node)

    def _binop(self, node: ast.BinOp) -> object:
        return binary(node.op, self.fold(node.left), self.fold(node.right), node)

    def _boolop(self, node: ast.BoolOp) -> object:
        value: object = None
        for operand in node.values:
            value = self.fold(operand)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _compare(self, node: ast.Compare) -> object:
        left = self.fold(node.left)
        result: object = True
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.fold(comparator)
            result = compare(op, left, right, node)
            if not result:
                break
            left = right
        return result

    def _ifexp(self, node: ast.IfExp) -> object:
        return self.fold(node.body if self.fold(node.test) else node.orelse)

    def _subscript(self, node: ast.Subscript) -> object:
        return subscript(self.fold(node.value), self.fold(node.slice), node)

    def _slice(self, node: ast.Slice) -> object:
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if part is None else self.fold(part) for part in parts))

    def _joinedstr(self, node: ast.JoinedStr) -> object:
        try:
            return bounded("".join(self._text(part) for part in node.values), node)
        except NotConstantError as error:
            # Python 3.11 does not know the places within an f-string.
            if error.module in (None, self.module):
                error.node = node
            raise

    def _text(self, node: ast.expr) -> str:
        if isinstance(node, ast.FormattedValue):
            spec = str(self.fold(node.format_spec)) if node.format_spec else ""
            conversion = chr(node.conversion) if node.conversion > 0 else ""
            return formatted(self.fold(node.value), conversion, spec, node)
        return str(self.fold(node))

    def _call(self, node: ast.Call) -> object:
        definition = self.modules.resolve(self.module, node.func)
        if isinstance(definition, m.External) and definition.name in self.constructors:
            return self.constructors[definition.name](node, self)
        what = f"`{ast.unparse(node.func)}(…)`"
        raise NotConstantError(node, f"{what} would have to be run", module=self.module)
