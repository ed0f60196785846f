"""Methods and attributes of plain values, by the names of their types."""

from __future__ import annotations

from levada.operations.builtin_functions import pay_for_encoding, pay_for_whole
from levada.operations.errors import TooLargeError, UnsupportedError
from levada.operations.function import Function, argument
from levada.operations.operators import bits_of, division_steps, search_steps
from levada.operations.plain import (
    check_hashes,
    extent,
    kind_of,
    loaded,
    opened,
    plain,
    text_bytes,
    type_name,
)
from levada.operations.text_formats import format_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Unpack

    from levada.operations.budget import Budget
    from levada.operations.function import Arguments, FunctionOptions, Keywords

    Price = Callable[[Budget, Arguments, Keywords], None]

#: Parts of a path whose parents are listed: each has all parts of those above it.
_MAX_PARTS: Final = 1000


# ---------------------------------------------------------------------------- texts


def _pay_for_search(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    text, *parts = arguments
    for part in parts[:1]:
        if kind_of(part) == kind_of(text):
            budget.spend(search_steps(text, part))


def _pay_for_reverse_search(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    text, *parts = arguments
    for part in parts[:1]:
        if kind_of(part) == kind_of(text):
            budget.spend(len(text) * len(part) // 1000)


def _pay_for_width(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    for width in arguments[1:2]:
        if isinstance(width, int):
            budget.spend(max(0, width) // 1000, 4 * max(0, width))


def _pay_for_tabs(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    text, width = arguments[0], argument(arguments, keywords, 1, "tabsize")
    tabs = text.count("\t" if isinstance(text, str) else b"\t")
    size = tabs * max(0, width if isinstance(width, int) else 8)
    budget.spend(size // 1000, 4 * size)


def _pay_for_join(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    separator, *given = arguments
    for items in given[:1]:
        if hasattr(items, "__len__"):
            size = len(items) * (text_bytes(separator) + 1)
            budget.spend(size // 1000, size)


def _pay_for_replace(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    _pay_for_search(budget, arguments, _)
    if len(arguments) > 2 and len({kind_of(item) for item in arguments[:3]}) == 1:
        text, old, new = arguments[:3]
        budget.spend(len(text) // 1000)
        grown = text.count(old) * text_bytes(new)
        budget.spend(grown // 1000, grown if text.isascii() else 4 * grown)


def _pay_for_parts(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    """Pay for ``split`` and ``rsplit``, of which the latter looks at each place anew."""
    text, separator = arguments[0], argument(arguments, keywords, 1, "sep")
    number = len(text) // 2 + 1
    if separator and kind_of(separator) == kind_of(text):
        budget.spend(len(text) * len(separator) // 1000)
        number = text.count(separator) + 1
    budget.spend(number // 20, 64 * number)


def _pay_for_lines(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    budget.spend(len(arguments[0]) // 20, 64 * len(arguments[0]))


def _pay_for_translation(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    text, *given = arguments
    longest = 1
    for table in given:
        if kind_of(table) == "dict":
            longest = max([1, *(len(part) for part in table.values() if isinstance(part, str))])
    budget.spend(len(text) * longest // 100, 4 * len(text) * longest)


def _pay_for_hex(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    budget.spend(len(arguments[0]) // 500, 3 * len(arguments[0]))


def _format(budget: Budget, template: str, /, *arguments: object, **keywords: object) -> str:
    return format_text(template, arguments, keywords, budget)


# ---------------------------------------------------------------------------- other types


def _pay_for_length(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    """Pay for ``int.to_bytes``."""
    length = argument(arguments, keywords, 1, "length")
    if isinstance(length, int):
        budget.spend(0, max(0, length))


def _pay_for_numbers(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    """Pay for finding something in a range: Python iterates over it unless it is an integer."""
    numbers, *given = arguments
    if given and type(given[0]) not in (int, bool):
        span = abs(numbers.stop - numbers.start) // abs(numbers.step)
        budget.spend(span // 20)


def _pay_for_copy(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    size = len(arguments[0])
    budget.spend(size // 20, (8 if type(arguments[0]) is list else 100) * size)


def _pay_for_set(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    members = [member for items in arguments if hasattr(items, "__len__") for member in items]
    budget.spend(len(members) // 5, 100 * len(members))
    check_hashes(members, len(members), budget)


def _pay_for_time_format(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    for form in (*arguments[1:], *keywords.values()):
        if isinstance(form, str):
            budget.spend(len(form), 256 * len(form))


def _as_time_zone(_budget: Budget, moment: Any, /, *arguments: Any, **keywords: object) -> object:
    given = argument(arguments, keywords, 0, "tz")
    _refuse_local_time("astimezone", moment, given)
    return moment.astimezone(*arguments, **keywords)


def _timestamp(_budget: Budget, moment: Any, /, *arguments: object, **keywords: object) -> object:
    _refuse_local_time("timestamp", moment, moment.tzinfo)
    return moment.timestamp(*arguments, **keywords)


def _refuse_local_time(name: str, moment: Any, zone: object) -> None:
    if zone is None or moment.tzinfo is None:
        raise UnsupportedError(
            f"`{name}` would use the machine's time zone: give the datetime one, with"
            " `.replace(tzinfo=timezone.utc)`"
        )


def _pay_for_match(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    path, *given = (*arguments, *keywords.values())
    for pattern in given:
        if isinstance(pattern, str):
            budget.spend(20 + len(str(path)) * len(pattern) // 100)


def _pay_for_ratio(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    """Pay for ``Decimal.as_integer_ratio``."""
    number = arguments[0]
    if number.is_finite():
        pay_for_whole(budget, (number.copy_abs().scaleb(0),), {})
        bits = 4 * abs(number.adjusted())
        budget.spend(division_steps(bits, bits), bits)


def _pay_for_fraction(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    bits = bits_of(arguments[0])
    budget.spend(division_steps(bits, bits))


def _methods(names: str, **how: Unpack[FunctionOptions]) -> dict[str, Function]:
    return {name: Function("", name, **how) for name in names.split()}


_TEXT: Final = {
    **_methods(
        "capitalize isalnum isalpha isascii isdigit islower isspace istitle isupper lower lstrip"
        " partition removeprefix removesuffix rstrip startswith endswith strip swapcase title upper"
    ),
    **_methods("count find index", price=_pay_for_search),
    **_methods("rfind rindex rpartition", price=_pay_for_reverse_search),
    **_methods("center ljust rjust zfill", price=_pay_for_width),
    **_methods("expandtabs", price=_pay_for_tabs),
    **_methods("join", price=_pay_for_join, iterates=1),
    **_methods("replace", price=_pay_for_replace),
    **_methods("split rsplit", price=_pay_for_parts),
    **_methods("splitlines", price=_pay_for_lines),
}
_SET: Final = {
    **_methods("copy difference intersection isdisjoint", price=_pay_for_set, iterates=1),
    **_methods("issubset issuperset symmetric_difference union", price=_pay_for_set, iterates=1),
}
#: The methods of each plain type.
METHODS: Final[dict[str, dict[str, Function]]] = {
    "str": {
        **_TEXT,
        **_methods("casefold isdecimal isidentifier isnumeric isprintable"),
        **_methods("encode", price=pay_for_encoding),
        **_methods("format", run=_format),
        **_methods("translate", price=_pay_for_translation),
    },
    "bytes": {
        **_TEXT,
        **_methods("decode", price=pay_for_encoding),
        **_methods("hex", price=_pay_for_hex),
    },
    "int": {
        **_methods("as_integer_ratio bit_count bit_length conjugate"),
        **_methods("to_bytes", price=_pay_for_length),
    },
    "float": _methods("as_integer_ratio conjugate hex is_integer"),
    "complex": _methods("conjugate"),
    "list": {**_methods("copy", price=_pay_for_copy, passes_on=True), **_methods("count index")},
    "tuple": _methods("count index"),
    "range": _methods("count index", price=_pay_for_numbers),
    "dict": {
        **_methods("copy", price=_pay_for_copy, passes_on=True),
        **_methods("get items keys values", passes_on=True),
    },
    "set": _SET,
    "frozenset": _SET,
    "date": {
        **_methods("ctime isocalendar isoformat isoweekday replace toordinal weekday"),
        **_methods("strftime", price=_pay_for_time_format),
    },
    "datetime": {
        **_methods("ctime isocalendar isoformat isoweekday replace toordinal weekday"),
        **_methods("strftime", price=_pay_for_time_format),
        **_methods("date dst time timetz tzname utcoffset"),
        **_methods("astimezone", run=_as_time_zone),
        **_methods("timestamp", run=_timestamp),
    },
    "time": {
        **_methods("dst isoformat replace tzname utcoffset"),
        **_methods("strftime", price=_pay_for_time_format),
    },
    "timedelta": _methods("total_seconds"),
    "timezone": _methods("dst tzname utcoffset"),
    "Path": {
        **_methods("as_posix is_absolute is_relative_to joinpath relative_to with_name with_stem"),
        **_methods("with_suffix"),
        **_methods("match", price=_pay_for_match),
    },
    "Decimal": {
        **_methods(
            "adjusted as_tuple compare conjugate copy_abs copy_negate copy_sign exp fma is_finite"
            " is_infinite is_nan is_signed is_zero ln log10 logb max min normalize quantize"
            " remainder_near same_quantum scaleb sqrt to_eng_string to_integral_value"
        ),
        **_methods("as_integer_ratio", price=_pay_for_ratio),
    },
    "Fraction": _methods("as_integer_ratio conjugate limit_denominator", price=_pay_for_fraction),
    "scalar": _methods("item"),
}
METHODS["bool"] = METHODS["int"]
#: The attributes of each plain type.
ATTRIBUTES: Final[dict[str, frozenset[str]]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "bool": "real imag numerator denominator",
        "int": "real imag numerator denominator",
        "float": "real imag",
        "complex": "real imag",
        "tuple": "year week weekday",  # of `isocalendar()`
        "range": "start stop step",
        "date": "year month day",
        "datetime": "year month day hour minute second microsecond tzinfo fold",
        "time": "hour minute second microsecond tzinfo fold",
        "timedelta": "days seconds microseconds",
        "Path": "anchor drive name parent parents parts root stem suffix suffixes",
        "UUID": "bytes bytes_le clock_seq fields hex int node time urn variant version",
        "Fraction": "real imag numerator denominator",
        "Decimal": "real imag",
        "enum": "name value",
        "exception": "args __name__",  # that of its class: `type(e).__name__`
    }.items()
}
#: Methods that change a value in place, and what to write instead.
_IN_PLACE: Final = {
    "append": "[*xs, x]",
    "extend": "[*xs, *ys]",
    "insert": "[*xs[:i], x, *xs[i:]]",
    "remove": "[x for x in xs if x != y]",
    "pop": "xs[:-1]",
    "clear": "[]",
    "reverse": "xs[::-1]",
    "sort": "sorted(xs)",
    "update": "{**d, **e}",
    "setdefault": "{key: value, **d}",
    "popitem": "{**d}",
    "add": "{*s, x}",
    "discard": "s - {x}",
}


def method(
    value: object,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    budget: Budget,
) -> object:
    """Call a method of a plain value. Raises UnsupportedError if expressions do not have it.

    >>> from levada.operations import Budget
    >>> method("a-b", "split", ["-"], {}, Budget())
    ['a', 'b']
    """
    if isinstance(value, Function):
        raise UnsupportedError(
            f"`{value}.{name}(…)` cannot be called in a pipeline: call it in a step"
        )
    value = opened(value, budget)
    found = METHODS.get(plain(value), {}).get(name)
    if found is None:
        _refuse_method(value, name)
        raise AssertionError(name)
    if not found.passes_on:
        value = loaded(value, budget)
    elif name == "get":  # a key is compared; what may stand in for the value is passed on
        keys = [loaded(key, budget) for key in arguments[:1]]
        budget.spend(extent(budget, *keys).steps)
        arguments = [*keys, *arguments[1:]]
    return found.call([value, *arguments], keywords, budget, getattr(type(value), name))


def attribute(value: object, name: str) -> object:
    """Return an attribute of a plain value, or a field of an instance of a class of fields.

    >>> attribute(2.5, "real")
    2.5
    """
    kind = kind_of(value)
    if kind is None and not name.startswith("_") and name in _fields(type(value)):
        return getattr(value, name)
    if kind == "tuple" and name in getattr(type(value), "_fields", ()):
        return getattr(value, name)
    kind = plain(value)
    if name in ATTRIBUTES.get(kind, ()):
        return _parents(value) if name == "parents" else getattr(value, name)
    if name in METHODS.get(kind, ()):
        raise UnsupportedError(f"`{name}` is a method: call it, `{name}(…)`")
    return _refuse_attribute(value, name)


def _parents(path: Any) -> tuple[object, ...]:
    if len(path.parts) > _MAX_PARTS:
        raise TooLargeError(f"a path of more than {_MAX_PARTS} parts")
    return tuple(path.parents)


def _fields(cls: type) -> Any:
    """Return the names of the fields of a dataclass or a pydantic model."""
    return getattr(cls, "__dataclass_fields__", None) or getattr(cls, "model_fields", ())


def _refuse_method(value: object, name: str) -> None:
    kind = kind_of(value)
    if name in _IN_PLACE and hasattr(value, name) and kind in ("list", "dict", "set"):
        instead = _instead(name, str(kind))
        raise UnsupportedError(
            f"`{name}` changes a {kind} in place, which expressions do not: write `{instead}`"
        )
    _refuse_attribute(value, name)


def _instead(name: str, kind: str) -> str:
    if kind == "set":
        return {"update": "s | t", "remove": "s - {x}", "clear": "set()"}.get(name, _IN_PLACE[name])
    if kind == "dict":
        return {"pop": "{k: v for k, v in d.items() if k != key}", "clear": "{}"}.get(
            name, _IN_PLACE[name]
        )
    return _IN_PLACE[name]


def _refuse_attribute(value: object, name: str) -> object:
    """Raise Python's AttributeError, or UnsupportedError where Python has the attribute."""
    cls = type(value)
    getattr(cls, name, None) or getattr(value, name)
    shown = "Path" if plain(value) == "Path" else type_name(cls.__module__, cls.__qualname__)
    raise UnsupportedError(f"`{shown}.{name}` is not available in a pipeline: use it in a step")
