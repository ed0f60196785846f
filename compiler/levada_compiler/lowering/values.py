"""What a name stands for while a pipeline is lowered."""

from __future__ import annotations

from enum import IntEnum

from ..front import types
from ..program.ir import Concat, Const, DictDisplay, Display, Expr, Select, Type
from ..slotted import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, TypeAlias

    from ..diagnostics.diagnostic import Span

ANY: Final = Type("any")
BOOL: Final = Type("bool", text="bool")
INT: Final = Type("int", text="int")
STR: Final = Type("str", text="str")


class Level(IntEnum):
    """When a value is known."""

    CONSTANT = 0  #: while compiling
    PARAMETER = 1  #: when the run starts
    OUTPUT = 2  #: when a step has run


class Unknown:
    """The static value of what is not known while compiling."""


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Size:
    """How many parts an expression has, and how deep they are nested."""

    parts: int = 1
    depth: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """An expression with what is known about it.

    ``static`` is the Python value of a constant. ``parts`` are the items of a list or tuple whose
    length is known. ``origins`` are node ids to wait for where they are not those of ``expr``
    (the result of a sub-pipeline). ``labels`` are the names that a tuple's outputs were given.
    ``size`` is that of the expression, which is bounded.
    """

    expr: Expr
    type: Type
    level: Level
    static: object = UNKNOWN
    parts: tuple[Value, ...] | None = None
    origins: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    cell: int | None = None
    fresh: bool = False  #: a list that was made here, so that it may be appended to
    size: Size = Size()
    poisoned: bool = False

    @property
    def is_static(self) -> bool:
        """Whether the value is a constant."""
        return self.static is not UNKNOWN


@dataclass(frozen=True, slots=True, eq=False)
class ListRef:
    """A name bound to a list that the pipeline makes: an accumulator."""

    cell: int


@dataclass(frozen=True, slots=True, eq=False)
class Unusable:
    """A name that must not be used here, with the diagnostic for whoever does."""

    rule: str
    message: str
    help: str
    span: Span | None = None
    label: str = ""


Binding: TypeAlias = Value | ListRef | Unusable


@dataclass(frozen=True, slots=True, eq=False)
class ListContent:
    """What an accumulator holds: its parts per loop since it was made, the outermost first.

    ``read_depth`` is the depth of the innermost loop that has read it, ``shared`` where it was
    stored in another container.
    """

    depth: int
    frames: tuple[tuple[Value, ...], ...]
    read_depth: int = -1
    read_span: Span | None = None
    shared: Span | None = None
    broken: Unusable | None = None

    def appended(self, part: Value, depth: int) -> ListContent:
        """With ``part`` (a list) joined to the frame of loop depth ``depth``."""
        missing = depth - self.depth + 1 - len(self.frames)
        frames = self.frames + ((),) * max(missing, 0)
        return replace(self, frames=(*frames[:-1], (*frames[-1], part)))

    @property
    def is_partial(self) -> bool:
        """Whether iterations that are under way have appended to it."""
        return any(self.frames[1:])


class Scope:
    """The state of a pipeline's names at one place.

    ``when`` says of a name, and of a list by its cell, how many nodes there were when it changed
    for the first time in the innermost ``try`` body.
    """

    __slots__ = ("lists", "names", "when")

    def __init__(
        self,
        names: dict[str, Binding] | None = None,
        lists: dict[int, ListContent] | None = None,
        when: dict[str | int, int] | None = None,
    ) -> None:
        self.names = names or {}
        self.lists = lists or {}
        self.when = when or {}

    def copy(self) -> Scope:
        """An independent copy."""
        return Scope(dict(self.names), dict(self.lists), dict(self.when))


def size_of(children: Iterable[Value]) -> Size:
    """The size of an expression made of others."""
    parts, depth = 1, 0
    for child in children:
        parts += child.size.parts
        depth = max(depth, child.size.depth)
    return Size(parts, depth + 1)


def poison(span: Span) -> Value:
    """The value of an expression that has been reported: whatever uses it stays silent."""
    return Value(Const(None, span), ANY, Level.CONSTANT, poisoned=True)


def constant(value: object, span: Span) -> Value:
    """The value of a constant: JSON values, tuples and sets."""
    return Value(
        constant_expression(value, span), constant_type(value), Level.CONSTANT, static=value
    )


def constant_expression(value: object, span: Span) -> Expr:
    """A constant as an expression."""
    if value is None or isinstance(value, bool | int | float | str):
        return Const(value, span)
    if isinstance(value, dict):
        pairs = (
            (constant_expression(k, span), constant_expression(v, span)) for k, v in value.items()
        )
        return DictDisplay(tuple(pairs), span)
    if isinstance(value, set | frozenset):
        # Sets of constants have no order of their own; this one is the same everywhere.
        ordered = sorted(value, key=lambda item: (type(item).__name__, repr(item)))
        return Display("set", tuple(constant_expression(item, span) for item in ordered), span)
    kind = "tuple" if isinstance(value, tuple) else "list"
    items = value if isinstance(value, list | tuple | range) else ()
    return Display(kind, tuple(constant_expression(item, span) for item in items), span)


def constant_type(value: object) -> Type:
    """The type of a constant."""
    if isinstance(value, tuple):
        return Type("tuple", tuple(constant_type(item) for item in value))
    if isinstance(value, set | frozenset):
        return Type("set")
    return types.of_value(value)


def elements(value: Value, span: Span) -> tuple[Value, ...] | None:
    """The items of a value whose length is known; None for any other."""
    if value.parts is not None:
        return value.parts
    if isinstance(value.static, list | tuple | str | dict | range):
        return tuple(constant(item, span) for item in value.static)
    return None


def detached(value: Value) -> Value:
    """The value as another pipeline has it, where none of the lists in it may be appended to."""
    parts = None if value.parts is None else tuple(map(detached, value.parts))
    return replace(value, parts=parts, fresh=False, cell=None)


def joined(parts: tuple[Value, ...], span: Span) -> Value:
    """Lists joined in order; neighbouring displays become one."""
    flat: list[Value] = []
    for part in parts:
        if part.parts is not None and flat and flat[-1].parts is not None:
            flat[-1] = display("list", (*flat[-1].parts, *part.parts), span)
        else:
            flat.append(part)
    if not flat:
        return replace(display("list", (), span), fresh=True)
    if len(flat) == 1:
        return replace(flat[0], fresh=True)
    level = max(part.level for part in flat)
    kinds = {part.type for part in flat}
    kind = kinds.pop() if len(kinds) == 1 else Type("list", text="list")
    expr = Concat(tuple(part.expr for part in flat), span)
    return Value(expr, kind, level, size=size_of(flat), fresh=True)


def display(kind: str, items: tuple[Value, ...], span: Span) -> Value:
    """A list or tuple display."""
    expr = Display(kind, tuple(item.expr for item in items), span)
    level = max((item.level for item in items), default=Level.CONSTANT)
    static: object = UNKNOWN
    if all(item.is_static for item in items):
        values = [item.static for item in items]
        static = values if kind == "list" else tuple(values)
    origins = tuple(dict.fromkeys(name for item in items for name in item.origins))
    poisoned = any(item.poisoned for item in items)
    return Value(
        expr,
        display_type(kind, items),
        level,
        static,
        parts=items,
        origins=origins,
        size=size_of(items),
        poisoned=poisoned,
    )


def display_type(kind: str, items: tuple[Value, ...]) -> Type:
    """``list[…]`` or ``tuple[…]`` of what the items are."""
    if kind == "tuple":
        return named("tuple", tuple(item.type for item in items))
    distinct = tuple(dict.fromkeys(item.type for item in items))
    if not distinct:
        return named("list")
    return named("list", (types.union(distinct),))


def named(name: str, arguments: tuple[Type, ...] = ()) -> Type:
    """A generic type with its text."""
    inner = ", ".join(types.text(argument) for argument in arguments)
    return Type(name, arguments, text=f"{name}[{inner}]" if arguments else name)


def selected(branch: str, test: Value, then: Value, otherwise: Value, span: Span) -> Value:
    """``then`` where the branch was taken, else ``otherwise``.

    Written as text it holds the branch's condition, ``test``, which may hold such values itself.
    """
    return Value(
        Select(branch, then.expr, otherwise.expr, span),
        types.union((then.type, otherwise.type)),
        max(then.level, otherwise.level, Level.PARAMETER),
        size=size_of((test, then, otherwise)),
        origins=tuple(dict.fromkeys((*then.origins, *otherwise.origins, branch)))
        if then.origins or otherwise.origins
        else (),
        poisoned=then.poisoned or otherwise.poisoned,
    )
