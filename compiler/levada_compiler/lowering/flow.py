"""How the states of two ways through a pipeline become one."""

from __future__ import annotations

from ..front import types
from ..program.ir import (
    Attribute,
    Binary,
    BoolOp,
    Collect,
    Compare,
    Concat,
    DictDisplay,
    Display,
    Expr,
    Field,
    Format,
    Item,
    Member,
    Output,
    Recover,
    Select,
    Sequence,
    Slice,
    Subscript,
    Unary,
)
from ..slotted import replace
from .values import Binding, ListContent, ListRef, Scope, Unusable, Value, display, joined, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from ..diagnostics.diagnostic import Span

MAYBE: Final = "maybe-unassigned"


def earliest(one: dict[str | int, int], other: dict[str | int, int]) -> dict[str | int, int]:
    """When each name changed first, on either of two ways."""
    return one | {key: min(when, one.get(key, when)) for key, when in other.items()}


class Merge:
    """Joins the scopes of two ways; ``choose`` makes the value that stands for either."""

    def __init__(
        self,
        choose: Callable[[Value, Value], Value],
        new_list: Callable[[Scope, Value], ListRef],
        where: Span,
        ways: tuple[str, str],
    ) -> None:
        self.choose = choose
        self.new_list = new_list
        self.where = where
        self.ways = ways  #: what to call the two ways, for messages
        self._made: dict[tuple[int, int], Value] = {}

    def scopes(self, left: Scope, right: Scope) -> Scope:
        """The scope after both."""
        merged = Scope(when=earliest(left.when, right.when))
        for cell in dict.fromkeys((*left.lists, *right.lists)):
            merged.lists[cell] = self._lists(left.lists.get(cell), right.lists.get(cell))
        for name in dict.fromkeys((*left.names, *right.names)):
            merged.names[name] = self._binding(name, left, right, merged)
        return merged

    def _binding(self, name: str, left: Scope, right: Scope, merged: Scope) -> Binding:
        one, other = left.names.get(name), right.names.get(name)
        if one is None or other is None:
            present = one if one is not None else other
            missing = self.ways[1] if other is None else self.ways[0]
            return present if isinstance(present, Unusable) else self._maybe(name, missing)
        if one is other or (
            isinstance(one, ListRef) and isinstance(other, ListRef) and one.cell == other.cell
        ):
            return one
        for side in (one, other):
            if isinstance(side, Unusable):
                return side
        first, second = content(one, left, self.where), content(other, right, self.where)
        aliased = [_aliased(one, name, left), _aliased(other, name, right)]
        if first is None or second is None:
            return Unusable(MAYBE, f"`{name}` is not complete here", "use it after the loop")
        if first.fresh and second.fresh:
            made = self.new_list(merged, self._chosen(first, second))
            for cell in filter(None, (*aliased, made.cell if any(aliased) else None)):
                merged.lists[cell] = replace(merged.lists[cell], shared=self.where)
            return made
        for side in (one, other):
            if isinstance(side, ListRef):
                merged.lists[side.cell] = replace(merged.lists[side.cell], shared=self.where)
        return self._chosen(first, second)

    def _chosen(self, one: Value, other: Value) -> Value:
        """One value for each pair, so that two names of the same thing stay that."""
        if one.poisoned or other.poisoned:
            return poison(self.where)
        key = (id(one), id(other))
        if key not in self._made:
            self._made[key] = one if one.expr == other.expr else self.choose(one, other)
        return self._made[key]

    def _maybe(self, name: str, missing: str) -> Unusable:
        return Unusable(
            MAYBE,
            f"`{name}` may have no value here",
            f"give `{name}` a value before, or on every way",
            self.where,
            f"`{name}` gets no value {missing}",
        )

    def _lists(self, one: ListContent | None, other: ListContent | None) -> ListContent:
        if one is None or other is None:
            present = one or other
            assert present is not None  # noqa: S101 - one of the two is there
            return present
        if one is other:
            return one
        depth = max(len(one.frames), len(other.frames))
        frames = tuple(
            self._frame(_frame_at(one, index), _frame_at(other, index)) for index in range(depth)
        )
        return replace(
            one,
            frames=frames,
            read_depth=max(one.read_depth, other.read_depth),
            read_span=one.read_span or other.read_span,
            shared=one.shared or other.shared,
            broken=one.broken or other.broken,
        )

    def _frame(self, one: tuple[Value, ...], other: tuple[Value, ...]) -> tuple[Value, ...]:
        """What both begin with, then either rest."""
        same = 0
        while same < min(len(one), len(other)) and one[same] is other[same]:
            same += 1
        if same == len(one) == len(other):
            return one
        left, right = joined(one[same:], self.where), joined(other[same:], self.where)
        chosen = self.choose(left, right)
        item = [part.type for part in (left, right) if part.parts != ()]
        return (*one[:same], replace(chosen, type=types.union(tuple(item)) if item else left.type))


def _aliased(binding: Binding, name: str, scope: Scope) -> int | None:
    """The list of a binding if another name stands for it too."""
    if not isinstance(binding, ListRef):
        return None
    others = (
        other
        for key, other in scope.names.items()
        if key != name and isinstance(other, ListRef) and other.cell == binding.cell
    )
    return binding.cell if any(others) else None


def _frame_at(held: ListContent, index: int) -> tuple[Value, ...]:
    return held.frames[index] if index < len(held.frames) else ()


def content(binding: Binding, scope: Scope, span: Span) -> Value | None:
    """The value of a binding; None for a list that is still being filled."""
    if isinstance(binding, ListRef):
        held = scope.lists[binding.cell]
        return None if held.is_partial or held.broken else joined(held.frames[0], span)
    return None if isinstance(binding, Unusable) else binding


def wrapped(scope: Scope, before: Scope, wrap: Callable[[Value], Value]) -> None:
    """Replace what changed since ``before`` by ``wrap`` of it, in place."""
    for name, binding in scope.names.items():
        if isinstance(binding, Value) and before.names.get(name) is not binding:
            scope.names[name] = wrap(binding)


def empty(span: Span) -> Value:
    """The empty list."""
    return display("list", (), span)


def children(expr: Expr) -> Iterator[Expr]:  # noqa: C901 - one case a form
    """The expressions directly within ``expr``."""
    match expr:
        case Attribute(value=value) | Collect(value=value) | Member(value=value):
            yield value
        case Subscript(value=value, index=index):
            yield value
            yield index
        case Slice(lower=lower, upper=upper, step=step):
            yield from (lower, upper, step)
        case Unary(operand=operand):
            yield operand
        case Binary(left=left, right=right):
            yield left
            yield right
        case Compare(operands=operands) | BoolOp(operands=operands):
            yield from operands
        case Display(items=items):
            yield from items
        case DictDisplay(items=pairs):
            for key, value in pairs:
                yield key
                yield value
        case Format(parts=parts):
            yield from (part.value for part in parts if isinstance(part, Field))
        case Sequence(arguments=arguments):
            yield from (value for _, value in arguments)
        case Concat(parts=joined_parts):
            yield from joined_parts
        case Select(then=then, otherwise=otherwise):
            yield then
            yield otherwise
        case Recover(body=body, handler=handler):
            yield body
            yield handler


def awaited(expr: Expr) -> Iterator[str]:
    """Ids of the nodes that must be over for ``expr`` to have a value, the outermost known."""
    stack = [expr]
    while stack:
        item = stack.pop()
        match item:
            case Output(node=node):
                yield node
            case Collect(loop=loop):
                yield loop
            case Item():
                pass
            case Select(branch=branch):
                yield branch
            case Recover(guard=guard):
                yield guard
            case _:
                stack.extend(children(item))
