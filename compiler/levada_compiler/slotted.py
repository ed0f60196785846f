"""Classes of fields in slots: what ``dataclasses`` makes, without its price at each start.

``dataclasses`` takes 16 ms to import, and about half a millisecond for each class that it makes:
more than a small pipeline takes to compile. To type checkers :func:`dataclass`, :class:`field`
and :func:`replace` are those of the standard library. At run time a class costs microseconds;
its ``__init__`` is compiled only when it has made a few instances. What is asked of the standard
library's functions (``dataclasses.fields``, ``is_dataclass``, ``replace``) is answered too:
``__dataclass_fields__`` is made when it is read.

Fields are those of the class's own annotations; defaults are plain values, or made by
``field(default_factory=…)``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
    from typing import Any

    Defaults = dict[str, Any]
    Names = tuple[str, ...]
else:

    def dataclass(*, slots, frozen=False, eq=True, order=False):
        """Make a class of the fields that are annotated in it; ``slots`` has to be true."""
        if not slots:
            raise TypeError("only with slots=True; take dataclasses for others")
        return lambda cls: _made(cls, frozen, eq, order)

    class field:  # noqa: N801 - the name is that of the standard library
        """A default that is made anew for each instance."""

        __slots__ = ("default_factory",)

        def __init__(self, *, default_factory):
            self.default_factory = default_factory

    def replace(instance, /, **changes):
        """Give the same with other values in some fields."""
        cls = type(instance)
        for name in cls.__match_args__:
            if name not in changes:
                changes[name] = getattr(instance, name)
        return cls(**changes)


#: So many instances are filled by a loop before ``__init__`` is compiled, which takes 0.1 ms.
_COMPILED_AFTER = 20


def _made(cls: type, frozen: bool, eq: bool, order: bool) -> Any:
    names = tuple(cls.__annotations__)
    body = dict(cls.__dict__)
    defaults = {name: body.pop(name) for name in names if name in body}
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    body.update(
        __slots__=names,
        __match_args__=names,
        __dataclass_fields__=_Fields(defaults),
        __qualname__=cls.__qualname__,
        __replace__=replace,
    )
    body.setdefault("__repr__", _repr)  # one of its own may keep a secret
    if frozen:
        body.update(__setattr__=_refuse, __delattr__=_refuse)
        body.update(__getstate__=_state, __setstate__=_set_state)
    if eq:
        body.update(_comparisons(names, frozen, order))
    # Given to the class when it is made: putting it there later would cost as much again.
    body["__init__"] = _first_init(cls.__qualname__, names, defaults, lambda: made)
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    return made


def _first_init(
    name: str, names: Names, defaults: Defaults, its_class: Callable[[], Any]
) -> Callable[..., None]:
    """An ``__init__`` that replaces itself by a compiled one when it was called often."""
    fill = object.__setattr__
    made = 0

    def __init__(self: Any, *values: Any, **named: Any) -> None:  # noqa: N807
        nonlocal made
        made += 1
        rest = names[len(values) :]
        if made > _COMPILED_AFTER or not _fits(len(values), names, named, defaults):
            # Also where the call is wrong, so that Python says what is.
            cls = its_class()
            cls.__init__ = _compiled_init(cls, names, defaults)
            cls.__init__(self, *values, **named)
            return
        values += tuple([named[n] if n in named else _default(defaults[n]) for n in rest])
        for each, value in zip(names, values, strict=True):
            fill(self, each, value)

    __init__.__qualname__ = f"{name}.__init__"
    return __init__


def _fits(count: int, names: Names, named: Defaults, defaults: Defaults) -> bool:
    rest = names[count:]
    given = [name for name in rest if name in named]
    missing = [name for name in rest if name not in named and name not in defaults]
    return count <= len(names) and len(given) == len(named) and not missing


def _default(value: Any) -> Any:
    return value.default_factory() if isinstance(value, field) else value  # type: ignore[arg-type]


def _compiled_init(cls: Any, names: Names, defaults: Defaults) -> Callable[..., None]:
    scope: dict[str, Any] = {f"_set_{name}": cls.__dict__[name].__set__ for name in names}
    scope.update({f"_default_{name}": value for name, value in defaults.items()})
    scope["_made"] = _default
    parameters = [f"{name}=_default_{name}" if name in defaults else name for name in names]
    lines = [f"def __init__(self, {', '.join(parameters)}):"]
    for name in names:
        is_made = isinstance(defaults.get(name), field)  # type: ignore[arg-type]
        lines.append(f" _set_{name}(self, {f'_made({name})' if is_made else name})")
    exec("\n".join([*lines, " return"]), scope)  # noqa: S102 - of names written in this package
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _comparisons(names: Names, frozen: bool, order: bool) -> dict[str, Any]:
    values = _values_of(names)

    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807
        if self is other:
            return True
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    def __lt__(self: Any, other: Any) -> Any:  # noqa: N807
        return values(self) < values(other) if type(other) is type(self) else NotImplemented

    def __le__(self: Any, other: Any) -> Any:  # noqa: N807
        return values(self) <= values(other) if type(other) is type(self) else NotImplemented

    # `>` and `>=` are these, asked the other way round.
    ordering = {"__lt__": __lt__, "__le__": __le__} if order else {}
    return {"__eq__": __eq__, "__hash__": __hash__ if frozen else None, **ordering}


def _values_of(names: Names) -> Callable[[Any], Any]:
    from operator import attrgetter

    if len(names) > 1:
        return attrgetter(*names)
    return lambda instance: tuple([getattr(instance, name) for name in names])


def _repr(self: Any) -> str:
    fields = ", ".join([f"{name}={getattr(self, name)!r}" for name in self.__match_args__])
    return f"{type(self).__qualname__}({fields})"


def _refuse(_self: Any, name: str, *_value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to or delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__match_args__]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__match_args__, state, strict=True):
        object.__setattr__(self, name, value)


class _Fields:
    """What the standard library's functions read; made by it, from the same fields."""

    def __init__(self, defaults: dict[str, object]) -> None:
        self.defaults = defaults

    def __get__(self, _instance: object, owner: type) -> object:
        import dataclasses

        kinds = owner.__annotations__
        described: list[Any] = [(name, kinds[name], *self._default(name)) for name in kinds]
        return dataclasses.make_dataclass("_", described).__dict__["__dataclass_fields__"]

    def _default(self, name: str) -> list[Any]:
        import dataclasses

        value: Any = self.defaults.get(name)
        if name not in self.defaults:
            return []
        if isinstance(value, field):  # type: ignore[arg-type]
            return [dataclasses.field(default_factory=value.default_factory)]
        return [dataclasses.field(default=value)]
