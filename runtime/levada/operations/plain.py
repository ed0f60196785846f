"""The types that expressions compute with: how large their values are, how to iterate over them.

A value is *plain* if its exact type is one of these. The names (``str``, ``date``, ``Path``) are
those of the tables in :mod:`levada.operations.methods`. Nothing is imported to find out: a value of
a library's type exists only where that library has been imported.
"""

from __future__ import annotations

import sys

from levada.operations.errors import (
    NotPlainError,
    TooLargeError,
    UnorderedError,
    UnsupportedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any, Final

    from levada.operations.budget import Budget

#: Levels of lists in lists. C code compares and hashes nested values without a check of its own.
MAX_NESTING: Final = 200
#: Values in the operands of one operation, all levels of them.
MAX_VALUES: Final = 1_000_000
#: Keys with one hash among those of a dict or set: each look-up compares with all of them.
MAX_COLLISIONS: Final = 500
ITERATOR: Final = "iterator"  #: a value that can be iterated over once


_DICT: dict[object, object] = {}
_ITERATORS: tuple[object, ...] = (
    enumerate(()),
    zip(),
    (_ for _ in ()),
    reversed(()),
    reversed([]),
    reversed(range(0)),
    reversed(_DICT),
    reversed(_DICT.values()),
    reversed(_DICT.items()),
)
KINDS: dict[type, str] = {
    **{cls: cls.__name__ for cls in (bool, int, float, complex, str, bytes, list, tuple, dict)},
    **{cls: cls.__name__ for cls in (set, frozenset, range, slice)},
    **{type(view): type(view).__name__ for view in (_DICT.keys(), _DICT.values(), _DICT.items())},
    type(None): "None",
    **{type(one): ITERATOR for one in _ITERATORS},
}
#: Types of libraries by their names: the module, and the name in the tables.
_LIBRARIES: Final = {
    **{name: ("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")},
    "ZoneInfo": ("zoneinfo", "timezone"),
    "Decimal": ("decimal", "Decimal"),
    "Fraction": ("fractions", "Fraction"),
    "UUID": ("uuid", "UUID"),
    "PosixPath": ("pathlib", "Path"),
    "PurePosixPath": ("pathlib", "Path"),
    "WindowsPath": ("pathlib", "Path"),
    "PureWindowsPath": ("pathlib", "Path"),
    "OrderedDict": ("collections", "dict"),
    "Counter": ("collections", "dict"),
    "defaultdict": ("collections", "dict"),
    "Timestamp": ("pandas", "scalar"),
    "Timedelta": ("pandas", "scalar"),
    "NaTType": ("pandas._libs.tslibs.nattype", "scalar"),
}
#: Libraries whose classes are used by their names in the library itself.
_FLAT: Final = frozenset(("numpy", "pandas", "polars", "pyarrow", "torch"))
#: What takes no more room than any other value of its type.
_FIXED: Final = frozenset(
    (
        *("None", "bool", "float", "complex", "range", "slice", "date", "datetime", "time"),
        *("timedelta", "timezone", "UUID", "scalar", "enum"),
    )
)
_VIEWS: Final = ("dict_keys", "dict_values", "dict_items")
_ITERABLE: Final = frozenset(
    ("list", "tuple", "dict", "set", "frozenset", "str", "bytes", "range", ITERATOR, *_VIEWS)
)
_SIMPLE: Final = frozenset((type(None), bool, int, float, str))
#: Special methods that decide what an operation does with a value.
_DECISIVE: Final = frozenset(
    f"__{name}__"
    for name in "eq ne lt le gt ge hash bool len iter contains getitem getattribute getattr index"  # noqa: SIM905
    " int float add radd sub rsub mul rmul mod rmod truediv rtruediv floordiv rfloordiv pow rpow"
    " and or xor neg pos abs invert round repr str format".split()
)


class Deferred:
    """A value that is not loaded: what is only passed on never is.

    Operators take loaded values. Functions and methods load what they look into.
    """

    __slots__ = ()

    def opened(self, budget: Budget) -> object:
        """Return the value with one level loaded: the items in it stay deferred."""
        raise NotImplementedError

    def loaded(self, budget: Budget) -> object:
        """Return the whole value."""
        raise NotImplementedError


def opened(value: object, budget: Budget) -> Any:
    """Return the value with one level of it loaded."""
    return value.opened(budget) if isinstance(value, Deferred) else value


def loaded(value: Any, budget: Budget) -> Any:
    """Return the value with nothing deferred in it."""
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, Deferred):
        return value.loaded(budget)
    if KINDS.get(type(value)) == ITERATOR:
        return (loaded(item, budget) for item in value)
    if not holds_deferred(value, budget):
        return value
    if type(value) is dict:
        return {key: loaded(item, budget) for key, item in value.items()}
    if KINDS.get(type(value)) in _VIEWS:
        whole = loaded(dict(value.mapping), budget)
        return getattr(whole, type(value).__name__.removeprefix("dict_"))()
    return type(value)(loaded(item, budget) for item in value)


def holds_deferred(value: object, budget: Budget) -> bool:
    """Whether there is something deferred in lists, tuples and dicts, at any depth."""
    if isinstance(value, Deferred):
        return True
    return any(holds_deferred(item, budget) for item in _complex_items(value, budget))


def _complex_items(value: Any, budget: Budget) -> Iterable[Any]:
    """Return the items of a list, tuple or dict, none if they are numbers and texts alone."""
    cls = type(value)
    is_view = KINDS.get(cls) in _VIEWS
    if cls is not list and cls is not tuple and cls is not dict and not is_view:
        return ()
    budget.spend(1 + len(value) // 50)
    items = value.values() if cls is dict else value
    return () if _SIMPLE.issuperset(map(type, items)) else items


def kind_of(value: object) -> str | None:
    """Return the name of the value's plain type, None for any other type.

    >>> kind_of([1]), kind_of(object())
    ('list', None)
    """
    cls = type(value)
    kind = KINDS.get(cls)
    return kind if kind is not None else _found(cls)


def plain(value: object) -> str:
    """Return the name of the value's plain type. Raises NotPlainError for any other type."""
    kind = kind_of(value)
    if kind is None:
        raise refusal(value)
    if kind == "function":
        raise UnsupportedError(f"`{value}` is a function: call it, `{value}(…)`")
    return kind


def type_name(module: str, name: str) -> str:
    """Return the name of a class as its users write it.

    >>> type_name("pandas.core.frame", "DataFrame")
    'pandas.DataFrame'
    """
    if module in ("builtins", "__main__"):
        return name
    words = module.split(".")
    if words[0] in _FLAT:
        return f"{words[0]}.{name}"
    public = [word for word in words if not word.startswith("_")]
    return ".".join((*public, name))


def refusal(value: object) -> NotPlainError:
    """Return the error for a value that is not plain."""
    cls = type(value)
    return NotPlainError(type_name(cls.__module__, cls.__qualname__))


def _found(cls: type) -> str | None:
    module, kind = _LIBRARIES.get(cls.__name__, ("", ""))
    if getattr(sys.modules.get(module), cls.__name__, None) is cls:
        KINDS[cls] = kind
        return kind
    if cls.__name__ == "IsoCalendarDate" and cls.__module__ == "datetime":
        return "tuple"
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(cls, (numpy.number, numpy.bool_)):
        return "scalar" if cls.__module__ == "numpy" else None
    return _trusted_base(cls)


def _trusted_base(cls: type) -> str | None:
    """Return the plain type that a NamedTuple or an enumeration behaves as.

    None where the class has special methods of its own: those could compute anything.
    """
    enum = sys.modules.get("enum")
    is_enum = enum is not None and issubclass(cls, enum.Enum)
    if not is_enum and not (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        return None
    base = "enum"
    for each in cls.__mro__:
        if each in KINDS:
            base = KINDS[each]
            break
        if each.__module__ != "enum" and any(
            name in _DECISIVE and not _is_trusted(part) for name, part in vars(each).items()
        ):
            return None
    return base


def _is_trusted(part: object) -> bool:
    """Whether what a class has under a special name was made by the standard library."""
    if type(part) in (type(object.__repr__), type(object.__format__)):
        return True
    return getattr(part, "__module__", None) in ("enum", "collections")


# ---------------------------------------------------------------------------- sizes


class Extent:
    """How large values are: their number, their characters, and the bits of their integers."""

    __slots__ = ("bits", "count", "has_iterator", "has_set", "levels", "text")

    def __init__(self) -> None:
        self.count = 0
        self.levels = 0
        self.text = 0
        self.bits = 0
        self.has_set = False
        self.has_iterator = False

    @property
    def steps(self) -> int:
        """Return the steps that iterating over all of it takes."""
        return self.count // 20 + self.text // 2000 + self.bits // 20_000


def extent(budget: Budget, *values: object) -> Extent:
    """Measure values with all that is in them, at any depth.

    Raises NotPlainError, and TooLargeError for what is nested too deep or has too many parts. A
    value that is shared counts each time: that is how often an operation would meet it.
    """
    found = Extent()
    level: list[Any] = list(values)
    while found.levels < MAX_NESTING:
        budget.spend(len(level) // 10)
        found.levels += 1
        found.count += len(level)
        inner: list[Any] = []
        for value in level:
            kind = KINDS.get(type(value))
            if kind == "int":
                found.bits += value.bit_length()
            elif kind == "str":
                found.text += len(value)
            elif kind not in _FIXED:
                _measure(value, found, inner)
        if found.count + len(inner) > MAX_VALUES:
            raise TooLargeError("the value has too many parts")
        if not inner:
            return found
        level = inner
    raise TooLargeError("the value is nested too deep")


def _measure(value: Any, found: Extent, inner: list[Any]) -> None:
    kind = plain(value)
    if kind in ("list", "tuple", "set", "frozenset", *_VIEWS):
        found.has_set |= kind in ("set", "frozenset")
        _extend(inner, value)
    elif kind == "dict":
        _extend(inner, value)
        _extend(inner, value.values())
    elif kind == "int":
        found.bits += value.bit_length()
    elif kind in ("str", "bytes"):
        found.text += len(value)
    elif kind == ITERATOR:
        found.has_iterator = True
    elif kind == "Path":
        found.text += sum(map(len, value.parts))
    elif kind == "Fraction":
        found.bits += value.numerator.bit_length() + value.denominator.bit_length()
    elif kind == "exception":
        found.text += len(value.message)
        inner.extend(value.args)
    elif kind == "Decimal":
        found.bits += 8 * value.__sizeof__()


def _extend(inner: list[object], items: Collection[object]) -> None:
    if len(inner) + len(items) > MAX_VALUES:
        raise TooLargeError("the value has too many parts")
    inner.extend(items)


def text_bytes(text: str | bytes) -> int:
    """Return how many bytes the characters of a text (or bytes) may take."""
    return len(text) if text.isascii() else 4 * len(text)


# ---------------------------------------------------------------------------- iterating over values


def items(value: Any, budget: Budget) -> list[Any]:
    """Return what iterating over a value gives. Raises Python's TypeError if nothing can be.

    A set gives its members in an order that is the same in every process.
    """
    value = opened(value, budget)
    kind = plain(value)
    if kind in ("list", "tuple"):
        budget.spend(len(value) // 50, 8 * len(value))
        return list(value)
    if kind in ("set", "frozenset"):
        return in_order(value, budget)
    return list(each(value, budget))


def each(value: Any, budget: Budget) -> Iterator[object]:
    """Iterate over a value, and pay for each item when it is taken."""
    value = opened(value, budget)
    kind = plain(value)
    if kind in ("set", "frozenset"):
        value = in_order(value, budget)
    is_made = kind not in ("list", "tuple", "dict", "set", "frozenset", "dict_keys", "dict_values")
    return _paid(iter(value), 64 if is_made else 8, budget)


def _paid(items: Iterable[object], size: int, budget: Budget) -> Iterator[object]:
    spend = budget.spend
    for item in items:
        spend(1, size)
        yield item


def listed(value: object, budget: Budget) -> object:
    """Return the items of a set, a range, an iterator or a view of a dict; else the value.

    Python's own functions then say what is wrong with what is none of these.
    """
    kind = plain(value)
    if kind in ("set", "frozenset", "range", ITERATOR) or kind in _VIEWS:
        return items(value, budget)
    return value


def flat_source(value: object, budget: Budget) -> object:
    """Return a list in place of an iterator that another one is made of.

    Python's C code follows iterators of iterators without a check of how deep they are nested.
    One without an end, ``itertools.repeat``, stays as it is.
    """
    is_iterator = KINDS.get(type(value)) == ITERATOR
    return items(value, budget) if is_iterator and type(value).__name__ != "repeat" else value


def is_iterable(value: object) -> bool:
    """Whether a plain value can be iterated over. Raises NotPlainError for any other."""
    return plain(value) in _ITERABLE


def in_order(members: Any, budget: Budget) -> list[Any]:
    """Return the members of a set: sorted by the name of their type, then by their text.

    Members that are not plain are sorted by what they are stored as.
    """
    count = len(members)
    try:
        measured = extent(budget, members)
    except NotPlainError:
        budget.spend(20 * count, 200 * count)
        return sorted(members, key=_stored_text)
    budget.spend(measured.steps * count.bit_length() + count, measured.text * 4 + 100 * count)
    return sorted(members, key=lambda member: (type(member).__name__, _stable_text(member)))


def _stored_text(member: object) -> bytes:
    from levada import values

    return values.canonical(values.encode(member))


def _stable_text(member: object) -> str:
    """Return the member's ``repr``, with the sets in it in order."""
    if type(member) is frozenset and member:
        return f"frozenset({{{', '.join(sorted(map(_stable_text, member)))}}})"
    if type(member) is tuple:
        comma = "," if len(member) == 1 else ""
        return f"({', '.join(map(_stable_text, member))}{comma})"
    return repr(member)


def check_hashes(keys: Iterable[object], count: int, budget: Budget) -> None:
    """Refuse keys that a dict or set cannot tell apart quickly. Raises what hashing raises."""
    if count <= MAX_COLLISIONS:
        return
    budget.spend(count // 10, 32 * count)
    groups: dict[int, int] = {}
    for key in keys:
        code = hash(key)
        groups[code] = groups.get(code, 0) + 1
    for code in [code for code, number in groups.items() if number > MAX_COLLISIONS]:
        same = [key for key in keys if hash(key) == code]
        if len(set(same[: 2 * MAX_COLLISIONS])) > MAX_COLLISIONS:
            raise TooLargeError("too many of the keys have the same hash")


def finished(value: Any, budget: Budget) -> object:
    """Return the value with lists in place of views, and of what can be iterated over only once.

    This is the form in which a value is kept, or given to a step. Raises UnsupportedError for a
    function.
    """
    if not _is_unfinished(value, budget):
        return value
    cls = type(value)
    plain(value)
    if cls is dict:
        return {key: finished(item, budget) for key, item in value.items()}
    found = [finished(item, budget) for item in each(value, budget)]
    return tuple(found) if cls is tuple else found


def _is_unfinished(value: Any, budget: Budget) -> bool:
    kind = KINDS.get(type(value))
    if kind in (ITERATOR, "function", *_VIEWS):
        return True
    if kind in ("list", "tuple", "dict"):
        # A list that is in it many times takes room each time where it is stored.
        budget.spend(0, 8 * len(value))
    if kind in ("set", "frozenset", "dict") and ITERATOR in map(KINDS.get, map(type, value)):
        raise UnorderedError("an iterator cannot be a key or a member: write `tuple(…)` around it")
    return any(_is_unfinished(item, budget) for item in _complex_items(value, budget))
