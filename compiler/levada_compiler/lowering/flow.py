"""How the states of two ways through a pipeline become one."""

from __future__ import annotations

from ..front import types
from ..program.ir import (
    Apply,
    Comprehension,
    Concat,
    Const,
    DictDisplay,
    Display,
    Instance,
    Method,
    Type,
    Use,
)
from ..slotted import replace
from .values import (
    Accumulated,
    Contents,
    Lowered,
    Scope,
    Unusable,
    dict_display,
    display,
    joined,
    known_pairs,
    made_of,
    poison,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr
    from .frame import Frame
    from .values import Binding

    #: Makes the value that stands for either of two, for a name.
    Choose: TypeAlias = Callable[[Lowered, Lowered, str], Lowered]
    #: Makes the value of one region as it is after that region.
    Wrap: TypeAlias = Callable[[Lowered], Lowered]

MAYBE: Final = "maybe-unassigned"
#: The names of the flags that say which jump was taken.
RETURNED, BROKEN, CONTINUED = "$returned", "$broken", "$continued"
FLAGS: Final = (RETURNED, BROKEN, CONTINUED)
#: What the function returns, on every path on which it has returned.
RESULT: Final = "$result"


def earliest(one: dict[str | int, int], other: dict[str | int, int]) -> dict[str | int, int]:
    """Return when each name changed first, on either of two ways."""
    return one | {key: min(when, one.get(key, when)) for key, when in other.items()}


class Merge:
    """Joins the scopes of two ways; ``choose`` makes the value that stands for either."""

    def __init__(
        self,
        choose: Choose,
        new_cell: Callable[[Scope, Lowered], Accumulated],
        where: Span,
        ways: tuple[str, str],
    ) -> None:
        self.choose = choose
        self.new_cell = new_cell
        self.where = where
        self.ways = ways  #: what to call the two ways, for messages
        self._made: dict[tuple[int, int], Lowered] = {}

    def scopes(self, left: Scope, right: Scope) -> Scope:
        """Return the scope after both."""
        if _has_left(left) is not _has_left(right):
            left, right = self._completed(left, right), self._completed(right, left)
        if (_returned(left) is False) is not (_returned(right) is False):
            left, right = self._with_result(left, right), self._with_result(right, left)
        left, right = _without_broken(left, right), _without_broken(right, left)
        merged = Scope(when=earliest(left.when, right.when))
        merged.completed = left.completed | right.completed
        merged.has_left = _has_left(left) and _has_left(right)
        for cell in dict.fromkeys((*left.cells, *right.cells)):
            merged.cells[cell] = self._contents(left.cells.get(cell), right.cells.get(cell))
        for name in dict.fromkeys((*left.names, *right.names)):
            merged.names[name] = self._binding(name, left, right, merged)
        return merged

    def _completed(self, scope: Scope, other: Scope) -> Scope:
        """Return a scope; behind a jump it has the names that only the other way assigns.

        Nothing reads them before the jump arrives, so any value does; the type is the other's.
        Where it arrives they have no value: `completed` keeps their names.
        """
        if not _has_left(scope):
            return scope
        found = scope.copy()
        for name, binding in other.names.items():
            value = content(binding, other, self.where)
            if value is None or not isinstance(found.names.get(name), Unusable | None):
                continue
            if value.definition is None:
                value = Lowered(Const(None, self.where), value.type, fresh=value.fresh)
            found.names[name] = value
            found.completed |= {name}
        return found

    def _with_result(self, scope: Scope, other: Scope) -> Scope:
        """Return a scope; before a `return` it has a result of the shape that the other way gives.

        It is replaced before the function ends. So tuples of one length stay several outputs.
        """
        result = content(other.names[RESULT], other, self.where) if RESULT in other.names else None
        if _returned(scope) is not False or result is None:
            return scope
        found = scope.copy()
        found.names[RESULT] = _placeholder(result, self.where)
        return found

    def _binding(self, name: str, left: Scope, right: Scope, merged: Scope) -> Binding:
        one, other = left.names.get(name), right.names.get(name)
        if one is None or other is None:
            present = one if one is not None else other
            missing = self.ways[1] if other is None else self.ways[0]
            return present if isinstance(present, Unusable) else self._maybe(name, missing)
        if one is other or _is_same_cell(one, other):
            return one
        for side in (one, other):
            if isinstance(side, Unusable):
                return side
        first, second = content(one, left, self.where), content(other, right, self.where)
        if first is None or second is None:
            return Unusable(MAYBE, f"`{name}` is not complete here", "use it after the loop")
        if first.definition is not None or second.definition is not None:
            return self._definition(name, first, second)
        return self._value(name, (one, first, left), (other, second, right), merged)

    def _value(
        self,
        name: str,
        left: tuple[Binding, Lowered, Scope],
        right: tuple[Binding, Lowered, Scope],
        merged: Scope,
    ) -> Binding:
        (one, first, left_scope), (other, second, right_scope) = left, right
        aliased = [_aliased(one, name, left_scope), _aliased(other, name, right_scope)]
        if first.fresh and second.fresh:
            made = self.new_cell(merged, self.chosen(first, second, name))
            for cell in filter(None, (*aliased, made.cell if any(aliased) else None)):
                merged.cells[cell] = replace(merged.cells[cell], shared=self.where)
            return made
        for side in (one, other):
            if isinstance(side, Accumulated):
                merged.cells[side.cell] = replace(merged.cells[side.cell], shared=self.where)
        return self.chosen(first, second, name)

    def chosen(self, one: Lowered, other: Lowered, name: str) -> Lowered:
        """Return one value for each pair, so that two names of the same thing stay that."""
        if one.poisoned or other.poisoned:
            return poison(self.where)
        key = (id(one), id(other))
        if key not in self._made:
            same = one.expr == other.expr or (name in FLAGS and _are_same(one, other))
            self._made[key] = one if same else self._either(one, other, name)
        return self._made[key]

    def _either(self, one: Lowered, other: Lowered, name: str) -> Lowered:
        """Return what stands for either; of values of one shape it is each part."""
        if _are_tuples(one, other):
            pairs = zip(one.parts or (), other.parts or (), strict=True)
            parts = tuple(self.chosen(a, b, f"{name}_{i}") for i, (a, b) in enumerate(pairs))
            if isinstance(one.expr, Display):
                return display("tuple", parts, self.where)
        if name == RESULT and (keys := keys_of(one)) and keys == keys_of(other):
            return self._dict(one, other, name)
        if isinstance(one.expr, Instance) and one.fields and other.fields:
            same = isinstance(other.expr, Instance) and one.expr.cls == other.expr.cls
            if same and list(one.fields) == list(other.fields):
                return self._instance(one, other, name)
        return self.choose(one, other, name)

    def _dict(self, one: Lowered, other: Lowered, name: str) -> Lowered:
        """Return a dict of each value, so that what is returned stays several outputs."""
        first, second = known_pairs(one, self.where) or (), known_pairs(other, self.where) or ()
        found = [
            (key, self.chosen(value, second[at][1], f"{name}_{at}"))
            for at, (key, value) in enumerate(first)
        ]
        return dict_display(tuple(found), self.where)

    def _instance(self, one: Lowered, other: Lowered, name: str) -> Lowered:
        assert isinstance(one.expr, Instance)  # noqa: S101 - see _either
        fields = {
            field: self.chosen(value, (other.fields or {})[field], f"{name}_{field}")
            for field, value in (one.fields or {}).items()
        }
        pairs = tuple([(field, value.expr) for field, value in fields.items()])
        expr = Instance(one.expr.cls, one.expr.kind, pairs, self.where)
        made = made_of(expr, one.type, fields.values())
        parts = tuple(fields.values()) if one.parts is not None else None
        return replace(made, fields=fields, parts=parts)

    def _definition(self, name: str, one: Lowered, other: Lowered) -> Binding:
        if one.definition is other.definition:
            return one
        return Unusable(
            "step-as-value",
            f"which function `{name}` stands for is known only in the run",
            "call each function in its own branch, and assign the results to one name",
            self.where,
        )

    def _maybe(self, name: str, missing: str) -> Unusable:
        return Unusable(
            MAYBE,
            f"`{name}` may be unassigned here",
            f"assign `{name}` before, or on every path",
            self.where,
            f"`{name}` is not assigned {missing}",
        )

    def _contents(self, one: Contents | None, other: Contents | None) -> Contents:
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

    def _frame(self, one: tuple[Lowered, ...], other: tuple[Lowered, ...]) -> tuple[Lowered, ...]:
        """Return what both begin with, then either rest."""
        same = 0
        while same < min(len(one), len(other)) and one[same] is other[same]:
            same += 1
        if same == len(one) == len(other):
            return one
        left, right = joined(one[same:], self.where), joined(other[same:], self.where)
        chosen = self.choose(left, right, "items")
        item = [part.type for part in (left, right) if part.parts != ()]
        return (*one[:same], replace(chosen, type=types.union(tuple(item)) if item else left.type))


def _placeholder(value: Lowered, where: Span) -> Lowered:
    """Return a value that is never read, of the type and the shape of another one."""
    if value.parts is not None and isinstance(value.expr, Display) and value.type.name == "tuple":
        return display("tuple", tuple(_placeholder(part, where) for part in value.parts), where)
    if keys_of(value):
        pairs = known_pairs(value, where) or ()
        return dict_display(tuple((key, _placeholder(each, where)) for key, each in pairs), where)
    return Lowered(Const(None, where), value.type)


def keys_of(value: Lowered) -> list[str]:
    """Return the keys of a dict, in order, if all are texts; none for any other value."""
    pairs = known_pairs(value, value.expr.span) or ()
    keys = [key.static for key, _ in pairs]
    return [str(key) for key in keys] if all(isinstance(key, str) for key in keys) else []


def _returned(scope: Scope) -> object:
    """Return True if the function has returned on every path to here, False if on none.

    Where only the run knows, or where there is no function, it is neither.
    """
    flag = scope.names.get(RETURNED)
    return flag.static if isinstance(flag, Lowered) else None


def _without_broken(scope: Scope, other: Scope) -> Scope:
    """Return a scope; one that has returned has lists as they were before, if it lost them.

    Nothing reads a list on the way of a `return`, so any value does. It must not be the other
    way's: an engine that waits for what a value is made of would wait for what has failed.
    """
    if _returned(scope) is not True or _returned(other) is True:
        return scope
    found = scope.copy()
    for cell, held in scope.cells.items():
        if held.broken is not None and cell in other.cells:
            found.cells[cell] = replace(held, broken=None)
    return found


def _has_left(scope: Scope) -> bool:
    """Return whether a jump was taken on every path to here, on each the same or another."""
    flags = (scope.names.get(flag) for flag in FLAGS)
    return scope.has_left or any(_is_true(flag) for flag in flags)


def _is_true(flag: Binding | None) -> bool:
    return isinstance(flag, Lowered) and flag.static is True


def _are_same(one: Lowered, other: Lowered) -> bool:
    """Return whether a flag has one known value on both ways, wherever it was set."""
    return one.is_static and one.static is other.static


def forget_completed(scope: Scope, where: Span) -> None:
    """Take away, where a jump arrives, the names that have no value on its way."""
    for name in scope.completed:
        scope.names[name] = Unusable(
            MAYBE,
            f"`{name}` may be unassigned here",
            f"assign `{name}` before the loop",
            where,
            f"`{name}` is not assigned if an iteration ends early",
        )
    scope.completed = frozenset()


def _is_same_cell(one: Binding, other: Binding) -> bool:
    both = isinstance(one, Accumulated) and isinstance(other, Accumulated)
    return both and one.cell == other.cell  # type: ignore[union-attr]


def _are_tuples(one: Lowered, other: Lowered) -> bool:
    """Return whether both are tuples of the same known length."""
    if one.parts is None or other.parts is None or not one.parts:
        return False
    kinds = {one.type.name, other.type.name}
    return kinds == {"tuple"} and len(one.parts) == len(other.parts)


def _aliased(binding: Binding, name: str, scope: Scope) -> int | None:
    """Return the accumulator of a binding if another name stands for it too."""
    if not isinstance(binding, Accumulated):
        return None
    others = (
        other
        for key, other in scope.names.items()
        if key != name and isinstance(other, Accumulated) and other.cell == binding.cell
    )
    return binding.cell if any(others) else None


def _frame_at(held: Contents, index: int) -> tuple[Lowered, ...]:
    return held.frames[index] if index < len(held.frames) else ()


def content(binding: Binding, scope: Scope, span: Span) -> Lowered | None:
    """Return the value of a binding; None for an accumulator that is still being filled."""
    if isinstance(binding, Accumulated):
        held = scope.cells[binding.cell]
        return None if held.is_partial or held.broken else value_of(held, span)
    return None if isinstance(binding, Unusable) else binding


def value_of(held: Contents, span: Span) -> Lowered:
    """Return what an accumulator holds, outside of the loops that fill it."""
    items = joined(held.frames[0], span)
    return replace(dict_of(items, span), fresh=True) if held.is_dict else items


def dict_of(items: Lowered, span: Span) -> Lowered:
    """Return the dict of a list of pairs."""
    if items.parts is not None:
        pairs = tuple(each.parts for each in items.parts if each.parts is not None)
        if len(pairs) == len(items.parts):
            made = dict_display(pairs, span)  # type: ignore[arg-type]
            if isinstance(items.expr, Use):
                return replace(made, expr=Apply("dict", ((None, items.expr),), span))
            return made
    kind = Type("dict", _pair_types(items.type), text="dict")
    match items.expr:
        case Apply(function="list", arguments=((None, Method(value=whole, name="items")),)):
            return made_of(whole, kind, (items,))  # the pairs of a dict
        case Comprehension(kind="list", element=Display(kind="tuple")):
            pairs_in = replace(items.expr, kind="dict")
            return made_of(pairs_in, kind, (items,), raises=items.raises)
        case Concat(parts=parts) if None not in (rows := [_rows_of(part) for part in parts]):
            merged = tuple([row for found in rows for row in found or ()])
            return made_of(DictDisplay(merged, span), kind, (items,))
    return made_of(Apply("dict", ((None, items.expr),), span), kind, (items,))


def _rows_of(items: Expr) -> tuple[tuple[Expr | None, Expr], ...] | None:
    """Return a list of pairs as the items of a dict display; None for any other list."""
    match items:
        case Apply(function="list", arguments=((None, Method(value=whole, name="items")),)):
            return ((None, whole),)
        case Display(items=pairs) if all(
            isinstance(pair, Display) and pair.kind == "tuple" and len(pair.items) == 2
            for pair in pairs
        ):
            return tuple([pair.children() for pair in pairs])  # type: ignore[misc]
    return None


def _pair_types(kind: Type) -> tuple[Type, ...]:
    pair = types.element(kind)
    return pair.arguments if pair.name == "tuple" and len(pair.arguments) == 2 else ()


def pairs_of(value: Lowered, span: Span) -> Lowered:
    """Return the list of the pairs of a dict."""
    known = known_pairs(value, span)
    if known is not None:
        return display("list", tuple(display("tuple", pair, span) for pair in known), span)
    items = Method(value.expr, "items", (), span)
    return made_of(Apply("list", ((None, items),), span), Type("list", text="list"), (value,))


def entered(frame: Frame, scope: Scope, before: Scope, wrap: Wrap) -> Scope:
    """Return a scope whose values, changed since ``before``, are those of one region."""
    found = scope.copy()
    for name, binding in scope.names.items():
        if isinstance(binding, Lowered) and before.names.get(name) is not binding:
            found.names[name] = frame.keep(wrap(binding), name)
    for cell, held in scope.cells.items():
        found.cells[cell] = _wrapped_contents(frame, held, before.cells.get(cell), wrap)
    return found


def _wrapped_contents(
    frame: Frame, held: Contents, before: Contents | None, wrap: Wrap
) -> Contents:
    if held is before:
        return held
    known = {id(part) for frame_ in (before.frames if before else ()) for part in frame_}
    frames = tuple(
        tuple(part if id(part) in known else _wrapped_part(frame, part, wrap) for part in each)
        for each in held.frames
    )
    return replace(held, frames=frames)


def _wrapped_part(frame: Frame, part: Lowered, wrap: Wrap) -> Lowered:
    """Return a part of a list wrapped, item by item where these are known."""
    if part.parts is None:
        return frame.keep(wrap(part), "items")
    items = tuple(
        _wrapped_part(frame, item, wrap) if item.parts else wrap(item) for item in part.parts
    )
    kind = "tuple" if part.type.name == "tuple" else "list"
    return display(kind, items, part.expr.span)


def empty(span: Span) -> Lowered:
    """Return the empty list."""
    return display("list", (), span)
