"""What a name stands for while a pipeline is lowered."""

from __future__ import annotations

import itertools

from ..front import instances, types
from ..front import modules as m
from ..front.declare import holds_definition
from ..front.instances import ConstantInstance, ConstantMember
from ..program.ir import (
    Apply,
    Concat,
    Conditional,
    Const,
    DictDisplay,
    Display,
    Expr,
    Instance,
    Member,
    Select,
    Type,
)
from ..slotted import dataclass, replace
from . import constant_forms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final, TypeAlias

    from ..diagnostics.diagnostic import Span

#: How many iterations a loop over a constant may have, and how many items of a range are known.
MAX_ITERATIONS: Final = 10_000

ANY: Final = Type("any")
BOOL: Final = Type("bool", text="bool")
INT: Final = Type("int", text="int")
FLOAT: Final = Type("float", text="float")
STR: Final = Type("str", text="str")
#: The exception that a handler handles.
ERROR: Final = Type("exception", text="exception")
#: Its class, of which a pipeline can take the name.
ERROR_CLASS: Final = Type("exception class", text="exception class")


class Unknown:
    """The static value of what is not known while compiling."""


UNKNOWN: Final = Unknown()

#: A type of a longer text is cut short.
MOST_TEXT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Size:
    """How many parts an expression has, and how deep they are nested."""

    parts: int = 1
    depth: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """An expression with what is known about it.

    ``static`` is the Python value of a constant. Of a structure that is written out in the
    pipeline the contents are known: ``parts`` are the items of a list or tuple, ``pairs`` those of
    a dict with constant keys, ``fields`` those of an instance. ``definition`` is a function, class
    or module that the name stands for, which is no value; one that ``has_callables`` holds such.
    ``origins`` are node ids to wait for
    where they are not those of ``expr`` (the result of a sub-pipeline). ``labels`` are the names
    that a tuple's outputs were given. ``cell`` is the accumulator that the value was read from;
    one that is ``fresh`` was made here, so that it may become one. It ``raises`` if evaluating the
    expression may. ``size`` is that of the expression, which is bounded.
    """

    expr: Expr
    type: Type
    static: object = UNKNOWN
    parts: tuple[Lowered, ...] | None = None
    pairs: tuple[tuple[Lowered, Lowered], ...] | None = None
    fields: Mapping[str, Lowered] | None = None
    definition: m.Definition | Partial | None = None
    has_callables: bool = False
    origins: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    cell: int | None = None
    fresh: bool = False
    raises: bool = False
    size: Size = Size()
    poisoned: bool = False

    @property
    def is_static(self) -> bool:
        """Whether the value is a constant."""
        return self.static is not UNKNOWN

    @property
    def is_known(self) -> bool:
        """Whether there is nothing to compute: it is a constant, or has been reported."""
        return self.is_static or self.poisoned


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """``functools.partial(step, …)``: a callable with some of its arguments."""

    callee: m.Definition
    positional: tuple[Lowered, ...]
    keywords: tuple[tuple[str, Lowered], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Accumulated:
    """A name bound to a list or dict that the pipeline makes, by its cell."""

    cell: int


@dataclass(frozen=True, slots=True, eq=False)
class Unusable:
    """A name that must not be used here, with the diagnostic for whoever does.

    ``value`` is what it stands for where a condition that assigns it was evaluated as a whole.
    """

    rule: str
    message: str
    help: str
    span: Span | None = None
    label: str = ""
    value: Lowered | None = None


Binding: TypeAlias = Lowered | Accumulated | Unusable


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What an accumulator holds: its parts per loop since it was made, the outermost first.

    Those of a list are lists; those of a dict are lists of pairs of a key and a value.
    ``read_depth`` is the depth of the innermost loop that has read it, ``shared`` where it was
    stored in another container.
    """

    depth: int
    frames: tuple[tuple[Lowered, ...], ...]
    is_dict: bool = False
    read_depth: int = -1
    read_span: Span | None = None
    shared: Span | None = None
    broken: Unusable | None = None

    def appended(self, part: Lowered, depth: int) -> Contents:
        """Return it with ``part`` joined to the frame of loop depth ``depth``."""
        missing = depth - self.depth + 1 - len(self.frames)
        frames = self.frames + ((),) * max(missing, 0)
        return replace(self, frames=(*frames[:-1], (*frames[-1], part)))

    @property
    def is_partial(self) -> bool:
        """Whether iterations that are under way have appended to it."""
        return any(self.frames[1:])


class Scope:
    """The state of a pipeline's names at one place.

    ``when`` says of a name, and of an accumulator by its cell, how many nodes there were when it
    changed for the first time in the innermost ``try`` body. ``completed`` are names that have no
    value on a way that has left the iteration by a jump. ``has_left`` says that every path to
    here took a jump, though not all of them the same one.
    """

    __slots__ = ("cells", "completed", "has_left", "names", "when")

    def __init__(
        self,
        names: dict[str, Binding] | None = None,
        cells: dict[int, Contents] | None = None,
        when: dict[str | int, int] | None = None,
    ) -> None:
        self.names = names or {}
        self.cells = cells or {}
        self.when = when or {}
        self.completed: frozenset[str] = frozenset()
        self.has_left = False

    def copy(self) -> Scope:
        """Return an independent copy."""
        made = Scope(dict(self.names), dict(self.cells), dict(self.when))
        made.completed = self.completed
        made.has_left = self.has_left
        return made


def size_of(children: Iterable[Lowered]) -> Size:
    """Return the size of an expression made of others."""
    parts, depth = 1, 0
    for child in children:
        parts += child.size.parts
        depth = max(depth, child.size.depth)
    return Size(parts, depth + 1)


def made_of(
    expr: Expr,
    kind: Type,
    children: Iterable[Lowered],
    *,
    raises: bool = False,
    fresh: bool = False,
) -> Lowered:
    """Return a computed value: it raises if one of its children does, or it may by itself."""
    inner = tuple(children)
    return Lowered(
        expr,
        kind,
        raises=raises or any(child.raises for child in inner),
        size=size_of(inner),
        fresh=fresh,
    )


def poison(span: Span) -> Lowered:
    """Return the value of what has been reported: whatever uses it stays silent."""
    return Lowered(Const(None, span), ANY, poisoned=True)


def callable_value(definition: m.Definition | Partial, span: Span) -> Lowered:
    """Return what a name stands for that is a function, a class or a module."""
    return Lowered(Const(None, span), ANY, definition=definition)


def constant(value: object, span: Span) -> Lowered:
    """Return a constant: a plain value, or a function, class or instance of the project."""
    if isinstance(value, m.Function | m.Class | m.External | m.Module):
        return callable_value(value, span)
    if isinstance(value, list | tuple) and any(map(holds_definition, value)):
        # It has no expression, but its items may be called.
        return _with_definitions(value, span)
    if isinstance(value, dict) and any(map(holds_definition, value.values())):
        pairs = tuple((constant(k, span), constant(v, span)) for k, v in value.items())
        kind = Type("dict", text="dict")
        return Lowered(Const(None, span), kind, pairs=pairs, has_callables=True)
    if instances.holds_instance(value):
        return _with_instances(value, span)
    expr = constant_forms.expression(value, span)
    return Lowered(expr, types.of_constant(value), static=value)


def _with_instances(value: object, span: Span) -> Lowered:
    """Return a constant that is an instance or a member, or holds some, written out."""
    match value:
        case ConstantMember():
            member = Member(value.cls, ((value.name, value.value),), Const(value.value, span), span)
            return Lowered(member, types.of_constant(value))
        case ConstantInstance():
            return _instance(value, span)
        case dict():
            pairs = ((constant(key, span), constant(item, span)) for key, item in value.items())
            return dict_display(tuple(pairs), span)
        case list() | tuple() | set() | frozenset():
            kind = type(value).__name__
            items = constant_forms.in_order(value) if kind.endswith("set") else value
            made = display(
                kind.removeprefix("frozen"), tuple(constant(i, span) for i in items), span
            )
            if kind != "frozenset":
                return made
            expr = Apply("frozenset", ((None, made.expr),), span)
            return made_of(expr, Type("frozenset", text="frozenset"), (made,))
    raise TypeError(f"a constant of {type(value)}")


def _instance(value: ConstantInstance, span: Span) -> Lowered:
    fields = {name: constant(item, span) for name, item in value.fields.items()}
    given = [(name, each.expr) for name, each in fields.items() if name not in value.left_out]
    expr = Instance(value.cls, value.kind, tuple(given), span)
    made = made_of(expr, types.of_constant(value), fields.values())
    parts = tuple(fields.values()) if value.kind == "namedtuple" else None
    return replace(made, fields=fields, parts=parts)


def _with_definitions(value: list[object] | tuple[object, ...], span: Span) -> Lowered:
    parts = tuple(constant(item, span) for item in value)
    kind = "tuple" if isinstance(value, tuple) else "list"
    return Lowered(Const(None, span), Type(kind, text=kind), parts=parts, has_callables=True)


def range_length(numbers: range) -> int:
    """Return how many numbers a range has; ``len`` refuses what is longer than a machine's word."""
    towards = 1 if numbers.step > 0 else -1
    return max(0, (numbers.stop - numbers.start + numbers.step - towards) // numbers.step)


def elements(value: Lowered, span: Span) -> tuple[Lowered, ...] | None:
    """Return the items of a value whose length is known; None for any other.

    Those of a long range are left to the run, which has a budget for them.
    """
    if isinstance(value.static, range) and range_length(value.static) > MAX_ITERATIONS:
        return None
    if value.parts is not None:
        return value.parts
    if value.pairs is not None:
        return tuple(key for key, _ in value.pairs)
    if isinstance(value.static, list | tuple | str | dict | range):
        return tuple(constant(item, span) for item in value.static)
    if isinstance(value.static, set | frozenset):
        return tuple(constant(item, span) for item in constant_forms.in_order(value.static))
    return None


def known_pairs(value: Lowered, span: Span) -> tuple[tuple[Lowered, Lowered], ...] | None:
    """Return the items of a dict whose keys are known; None for any other value."""
    if isinstance(value.static, dict):
        return tuple((constant(k, span), constant(v, span)) for k, v in value.static.items())
    return value.pairs


def detached(value: Lowered) -> Lowered:
    """Return the value as another pipeline has it, where nothing in it may be appended to."""
    parts = None if value.parts is None else tuple(map(detached, value.parts))
    pairs = value.pairs
    if pairs is not None:
        pairs = tuple((key, detached(item)) for key, item in pairs)
    return replace(value, parts=parts, pairs=pairs, fresh=False, cell=None)


def joined(parts: tuple[Lowered, ...], span: Span) -> Lowered:
    """Return lists joined in order; neighbouring displays become one."""
    flat: list[Lowered] = []
    for is_display, group in itertools.groupby(parts, lambda part: part.parts is not None):
        neighbours = list(group)
        if is_display and len(neighbours) > 1:
            items = tuple(item for part in neighbours for item in part.parts or ())
            neighbours = [display("list", items, span)]
        flat += neighbours
    if not flat:
        return replace(display("list", (), span), fresh=True)
    if len(flat) == 1:
        return replace(flat[0], fresh=True)
    kinds = {part.type for part in flat}
    kind = kinds.pop() if len(kinds) == 1 else Type("list", text="list")
    return made_of(Concat(tuple([part.expr for part in flat]), span), kind, flat, fresh=True)


def display(kind: str, items: tuple[Lowered, ...], span: Span) -> Lowered:
    """Return a list or tuple display."""
    static: object = UNKNOWN
    if all(item.is_static for item in items):
        values = [item.static for item in items]
        static = values if kind == "list" else tuple(values)
    return replace(
        made_of(
            Display(kind, tuple([item.expr for item in items]), span),
            display_type(kind, items),
            items,
        ),
        static=static,
        parts=items,
        origins=tuple(dict.fromkeys(name for item in items for name in item.origins)),
        has_callables=any(map(is_callable, items)),
        poisoned=any(item.poisoned for item in items),
    )


def is_callable(value: Lowered) -> bool:
    """Return whether something stands for a function or class, or holds one."""
    return value.definition is not None or value.has_callables


def dict_display(pairs: tuple[tuple[Lowered, Lowered], ...], span: Span) -> Lowered:
    """Return a dict display; of equal constant keys the last one's value counts."""
    members = [item for pair in pairs for item in pair]
    keys = types.union(tuple(k.type for k, _ in pairs)) if pairs else ANY
    values = types.union(tuple(v.type for _, v in pairs)) if pairs else ANY
    kind = named("dict", (keys, values)) if pairs else Type("dict", text="dict")
    expr = DictDisplay(tuple([(k.expr, v.expr) for k, v in pairs]), span)
    made = replace(
        made_of(expr, kind, members),
        poisoned=any(each.poisoned for each in members),
        has_callables=any(map(is_callable, members)),
    )
    if not all(key.is_static and _is_hashable(key.static) for key, _ in pairs):
        return made
    found: dict[object, tuple[Lowered, Lowered]] = {}
    for key, value in pairs:
        # Of equal keys Python keeps the first and its place, with the last one's value.
        found[key.static] = found[key.static][0] if key.static in found else key, value
    kept = tuple(found.values())
    static: object = UNKNOWN
    if all(value.is_static for _, value in kept):
        static = {key.static: value.static for key, value in kept}
    expr = DictDisplay(tuple([(k.expr, v.expr) for k, v in kept]), span)
    return replace(made, expr=expr, pairs=kept, static=static)


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def display_type(kind: str, items: tuple[Lowered, ...]) -> Type:
    """Return ``list[…]`` or ``tuple[…]`` of what the items are."""
    if kind == "tuple":
        return named("tuple", tuple(item.type for item in items))
    distinct = tuple(dict.fromkeys(item.type for item in items))
    if not distinct:
        return named(kind)
    return named(kind, (types.union(distinct),))


def named(name: str, arguments: tuple[Type, ...] = ()) -> Type:
    """Return a generic type with its text; of a large one, what is in its arguments is unknown.

    ``x = (x, x)`` doubles the type of `x`, so that 40 rounds of it would fill any memory.
    """
    texts = [types.text(argument) for argument in arguments]
    if sum(map(len, texts)) > MOST_TEXT and any(argument.arguments for argument in arguments):
        plain = tuple(_without_arguments(argument) for argument in arguments)
        return named(name, plain)
    inner = ", ".join(texts)
    return Type(name, arguments, text=f"{name}[{inner}]" if arguments else name)


def _without_arguments(kind: Type) -> Type:
    if not kind.arguments:
        return kind
    return ANY if kind.name == "union" else Type(kind.name, text=kind.name)


def chosen(test: Lowered, then: Lowered, otherwise: Lowered, span: Span) -> Lowered:
    """Return ``then if test else otherwise`` of values that no step is called for."""
    expr = Conditional(test.expr, then.expr, otherwise.expr, span)
    kind = types.union((then.type, otherwise.type))
    value = made_of(expr, kind, (test, then, otherwise))
    return replace(value, poisoned=test.poisoned or then.poisoned or otherwise.poisoned)


def selected(branch: str, then: Lowered, otherwise: Lowered, span: Span) -> Lowered:
    """Return ``then`` where the branch was taken, else ``otherwise``."""
    origins = tuple(dict.fromkeys((*then.origins, *otherwise.origins, branch)))
    return replace(
        made_of(
            Select(branch, then.expr, otherwise.expr, span),
            types.union((then.type, otherwise.type)),
            (then, otherwise),
        ),
        origins=origins if then.origins or otherwise.origins else (),
        poisoned=then.poisoned or otherwise.poisoned,
    )
