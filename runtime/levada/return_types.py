"""Whether what a step returned is what it is declared to return, as far as that is plain.

Annotations are taken as they are at run time; `typing` is never imported, since that takes longer
than most checks. What is no plain statement about a value is not checked: type variables,
protocols, the metadata of `Annotated`, parameters of callables and of the project's own generic
classes, and names that do not resolve, as those under `if TYPE_CHECKING:`.
"""

from __future__ import annotations

import sys
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

#: Items of one container that are checked, besides the last one.
FIRST = 1_000
#: Values that are checked in all.
MOST = 100_000

_NONE = type(None)
_UNION = type(int | str)
#: Stands for an annotation that says nothing plain.
_UNKNOWN = object()
#: Kinds of NumPy's scalars (`dtype.kind`) that pass for a class, as its own classes do.
_NUMPY_KINDS = {bool: "b", int: "iu", float: "iuf", complex: "iufc"}
#: As type checkers have it: https://typing.python.org/en/latest/spec/special-types.html
_WIDER = {float: (float, int), complex: (complex, float, int)}
_QUALIFIERS = ("Final", "ClassVar", "Required", "NotRequired", "ReadOnly")


class Mismatch:
    """A part of a value that is not of its declared type: both types as text, and its place."""

    __slots__ = ("declared", "found", "place")

    def __init__(self, declared: str, found: str, place: str = "") -> None:
        self.declared = declared
        self.found = found
        self.place = place

    def inside(self, step: str) -> Mismatch:
        """Return the same one, seen from the container that holds it."""
        return Mismatch(self.declared, self.found, step + self.place)


def declared_return(function: Callable[..., object]) -> object:
    """Return the annotation of what a function returns; Ellipsis if it has none."""
    while True:
        annotations = _annotations(function)
        inner = getattr(function, "__wrapped__", None)
        if "return" in annotations or inner is None:
            return annotations.get("return", ...)
        function = inner


def find_mismatch(value: object, declared: object, names: Mapping[str, object]) -> Mismatch | None:
    """Return the first part of a value that is not as declared; None if there is none.

    ``names`` are those of the module, for annotations that are text.

    >>> found = find_mismatch([1, 2, "3"], list[int], {})
    >>> found.place, found.declared, found.found
    ('[2]', 'int', 'str')
    """
    try:
        return _Checker(names).check(value, declared)
    except RecursionError:  # the value is nested too deep to be stored, which says so
        return None


def type_text(declared: object) -> str:
    """Return an annotation as it is written.

    >>> type_text(list[int]), type_text(None)
    ('list[int]', 'None')
    """
    if declared is None or declared is _NONE:
        return "None"
    if isinstance(declared, str):
        return declared
    if isinstance(declared, type) and not hasattr(declared, "__args__"):
        name = declared.__qualname__
        return name if declared.__module__ == "builtins" else f"{declared.__module__}.{name}"
    return repr(declared).replace("typing.", "").replace("collections.abc.", "")


class _Checker:
    """Checks one value."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names
        self._left = MOST
        self._known: dict[str, object] = {}

    def check(self, value: object, annotation: object) -> Mismatch | None:
        """Return the first mismatch, depth first."""
        self._left -= 1
        declared = self._plain(annotation)
        if declared is _UNKNOWN or self._left < 0:
            return None
        origin = getattr(declared, "__origin__", None)
        arguments = tuple(getattr(declared, "__args__", ()))
        name = getattr(origin, "_name", None) or getattr(declared, "_name", None)
        if type(declared) is _UNION or name in ("Union", "Optional"):
            return self._union(value, declared, arguments)
        if name == "Literal":
            same = any(isinstance(value, type(each)) and value == each for each in arguments)
            return None if same else self._differs(value, declared)
        if isinstance(origin, type):
            found = None if _is_of(value, origin) else self._differs(value, declared)
            return found or self._items(value, origin, arguments)
        if isinstance(declared, type):
            return self._class(value, declared)
        return None

    def _plain(self, annotation: object) -> Any:
        """Return an annotation without text, aliases and metadata around it."""
        for _ in range(20):
            if annotation is None:
                return _NONE
            name = getattr(getattr(annotation, "__origin__", None), "_name", None)
            if isinstance(annotation, str):
                annotation = self._evaluated(annotation)
            elif hasattr(annotation, "__forward_arg__"):
                annotation = annotation.__forward_arg__
            elif hasattr(annotation, "__metadata__"):
                annotation = annotation.__origin__  # type: ignore[attr-defined]
            elif hasattr(annotation, "__supertype__"):
                annotation = annotation.__supertype__
            elif type(annotation).__name__ == "TypeAliasType":
                annotation = annotation.__value__  # type: ignore[attr-defined]
            elif name in _QUALIFIERS:
                annotation = annotation.__args__[0]  # type: ignore[attr-defined]
            else:
                return annotation
        return _UNKNOWN

    def _evaluated(self, text: str) -> object:
        if text not in self._known:
            try:
                # The project's own code: Python would have evaluated it at the definition.
                self._known[text] = eval(text, dict(self._names))  # noqa: S307
            except Exception:  # noqa: BLE001  a name for type checkers only, say
                self._known[text] = _UNKNOWN
        return self._known[text]

    def _union(
        self, value: object, declared: object, members: tuple[object, ...]
    ) -> Mismatch | None:
        """Return the mismatch of the member that comes nearest, of the whole if none does."""
        nearest = self._differs(value, declared)
        for member in members:
            found = self.check(value, member)
            if found is None:
                return None
            nearest = max(nearest, found, key=lambda each: len(each.place))
        return nearest

    def _class(self, value: object, declared: type) -> Mismatch | None:
        if getattr(declared, "_is_protocol", False):
            return None
        if hasattr(declared, "__required_keys__"):
            return self._typed_dict(value, declared)
        if not _is_of(value, declared):
            return self._differs(value, declared)
        names = getattr(declared, "_fields", None)
        if isinstance(value, tuple) and names is not None:
            return self._fields(zip(names, value, strict=False), declared, ".{}")
        return None

    def _typed_dict(self, value: object, declared: Any) -> Mismatch | None:
        if not isinstance(value, dict):
            return self._differs(value, declared)
        missing = sorted(key for key in declared.__required_keys__ if key not in value)
        if missing:
            return Mismatch(type_text(declared), f"dict without {missing[0]!r}")
        return self._fields(value.items(), declared, '["{}"]')

    def _fields(
        self, fields: Iterable[tuple[str, object]], declared: Any, form: str
    ) -> Mismatch | None:
        """Check named parts by the annotations of a class, which its own module explains."""
        outer, self._names = self._names, vars(sys.modules.get(declared.__module__, sys))
        known, self._known = self._known, {}
        try:
            annotations = _annotations(declared)
            pairs = (
                (form.format(name), part, annotations[name])
                for name, part in fields
                if name in annotations
            )
            return self._first(pairs)
        finally:
            self._names, self._known = outer, known

    def _items(self, value: Any, origin: type, arguments: tuple[object, ...]) -> Mismatch | None:
        """Check what a container holds, if the annotation says what that is."""
        if origin is tuple:
            return self._tuple(value, arguments)
        if isinstance(value, dict) and len(arguments) == 2:
            items = _some(value.items(), len(value), reversed)
            return self._first(
                pair
                for key, item in items
                for pair in (
                    (f" key {key!r:.40}", key, arguments[0]),
                    (_at(key), item, arguments[1]),
                )
            )
        if isinstance(value, (list, tuple, set, frozenset)) and len(arguments) == 1:
            numbered = _some(enumerate(value), len(value), lambda _: _last(value))
            return self._first((f"[{number}]", item, arguments[0]) for number, item in numbered)
        return None

    def _tuple(self, value: tuple[object, ...], arguments: tuple[object, ...]) -> Mismatch | None:
        if len(arguments) == 2 and arguments[1] is ...:
            numbered = _some(enumerate(value), len(value), lambda _: _last(value))
            return self._first((f"[{number}]", item, arguments[0]) for number, item in numbered)
        if not all(_is_one(each) for each in arguments):
            return None
        if len(arguments) != len(value):
            count = len(arguments)
            return Mismatch(f"tuple of {count} values", f"tuple of {len(value)}")
        pairs = enumerate(zip(value, arguments, strict=True))
        return self._first((f"[{number}]", item, each) for number, (item, each) in pairs)

    def _first(self, parts: Iterable[tuple[str, object, object]]) -> Mismatch | None:
        for step, part, declared in parts:
            found = self.check(part, declared)
            if found is not None:
                return found.inside(step)
            if self._left < 0:
                return None
        return None

    def _differs(self, value: object, declared: object) -> Mismatch:
        return Mismatch(type_text(declared), type_text(type(value)))


def _annotations(holder: object) -> Mapping[str, object]:
    """Return annotations; none where evaluating them fails, as Python 3.14 does only now."""
    try:
        found: Mapping[str, object] = getattr(holder, "__annotations__", {})
    except Exception:  # noqa: BLE001  whatever is in them
        return {}
    return found


def _is_of(value: object, declared: type) -> bool:
    """Whether a value is of a class, or may be."""
    try:
        if isinstance(value, _WIDER.get(declared, declared)):
            return True
    except Exception:  # noqa: BLE001  typing.Any, or a metaclass that refuses to say
        return True
    kinds = _NUMPY_KINDS.get(declared)
    if kinds is not None:
        return _numpy_kind(value) in kinds if _numpy_kind(value) else False
    # A module that is imported under two names has each of its classes twice.
    return any(
        each.__qualname__ == declared.__qualname__
        and each.__module__ != declared.__module__
        and _file(each) is not None
        and _file(each) == _file(declared)
        for each in type(value).__mro__
    )


def _numpy_kind(value: object) -> str:
    """Return the kind of a NumPy scalar; empty for anything else."""
    classes = type(value).__mro__
    if any(each.__module__ == "numpy" and each.__name__ == "generic" for each in classes):
        return str(value.dtype.kind)  # type: ignore[attr-defined]
    return ""


def _file(cls: type) -> str | None:
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


def _is_one(argument: object) -> bool:
    """Whether an argument of ``tuple[…]`` stands for one value: ``*Ts`` stands for many."""
    unpacked = getattr(argument, "__unpacked__", False) or type(argument).__name__ == "TypeVarTuple"
    return not unpacked and getattr(getattr(argument, "__origin__", None), "_name", "") != "Unpack"


def _some(items: Any, count: int, backwards: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
    """Yield the first items of a container and the last one."""
    yield from islice(items, FIRST)
    if count > FIRST:
        try:
            yield from islice(backwards(items), 1)
        except TypeError:  # a set has no last one
            return


def _last(value: Any) -> Iterator[tuple[int, object]]:
    return ((len(value) - 1, each) for each in islice(reversed(value), 1))


def _at(key: object) -> str:
    return f'["{key}"]' if isinstance(key, str) else f"[{key!r:.40}]"
