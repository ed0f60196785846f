"""The types of what functions, methods and attributes of plain values give, and what may raise.

What is not here gives a value of any type and may raise.
"""

from __future__ import annotations

from ..front import types
from .checks import NUMBERS, SIZED
from .values import ANY, BOOL, FLOAT, INT, STR, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from ..program.ir import Type

_LIST_OF_TEXTS: Final = named("list", (STR,))
#: By class the attributes of plain values with their types.
_ATTRIBUTES: Final[dict[str, dict[str, Type]]] = {
    "datetime.date": dict.fromkeys(("year", "month", "day"), INT),
    "datetime.datetime": dict.fromkeys(
        ("year", "month", "day", "hour", "minute", "second", "microsecond"), INT
    ),
    "datetime.timedelta": dict.fromkeys(("days", "seconds", "microseconds"), INT),
    "pathlib.Path": {
        **dict.fromkeys(("name", "stem", "suffix", "root", "anchor"), STR),
        "parent": named("pathlib.Path"),
        "parts": named("tuple", (STR, types.ELLIPSIS)),
        "suffixes": _LIST_OF_TEXTS,
    },
    "exception": {"args": named("tuple", (ANY, types.ELLIPSIS))},
    "exception class": {"__name__": STR},
}
#: Methods of texts, which raise nothing with arguments of the right types.
_OF_TEXTS: Final = {
    **dict.fromkeys(
        (
            *("lower", "upper", "strip", "lstrip", "rstrip", "title", "capitalize", "swapcase"),
            *("casefold", "replace", "removeprefix", "removesuffix", "zfill", "ljust", "rjust"),
            *("center", "expandtabs"),
        ),
        STR,
    ),
    **dict.fromkeys(("startswith", "endswith", "isdigit", "isalpha", "isidentifier"), BOOL),
    **dict.fromkeys(("isalnum", "isupper", "islower", "isspace", "isdecimal"), BOOL),
    **dict.fromkeys(("splitlines",), _LIST_OF_TEXTS),
    **dict.fromkeys(("count", "find", "rfind"), INT),
}
#: The modules of Python whose classes are plain values.
_MODULES: Final = ("datetime", "decimal", "fractions", "pathlib", "uuid")
_RAISING_OF_TEXTS: Final = {"split": _LIST_OF_TEXTS, "rsplit": _LIST_OF_TEXTS, "join": STR}


def attribute(kind: Type, name: str) -> Type | None:
    """Return the type of an attribute of a plain value; None where there is none of that name."""
    found = _ATTRIBUTES.get(kind.name, {}).get(name)
    if found is None and name in attributes(kind):
        return ANY
    return found


def attributes(kind: Type) -> frozenset[str]:
    """Return the attributes of a date, a path, a `UUID` and their like."""
    name = plain_name(kind)
    if name == kind.name:
        return frozenset()
    from levada.operations import ATTRIBUTES

    return ATTRIBUTES.get(name, frozenset())


def plain_name(kind: Type) -> str:
    """Return what the tables of plain values call a type: `date` for `datetime.date`."""
    module, _, name = kind.name.rpartition(".")
    return name if module in _MODULES else kind.name


def method(kind: Type, name: str, arguments: Sequence[Type]) -> tuple[Type, bool]:
    """Return the type of what a method gives, and whether it may raise."""
    if kind.name == "str":
        if name in _OF_TEXTS:
            return _OF_TEXTS[name], any(each.name not in ("str", "int") for each in arguments)
        return _RAISING_OF_TEXTS.get(name, ANY), True
    if kind.name == "dict" and name in ("get", "keys", "values", "items", "copy"):
        return _of_dict(kind, name, arguments), False
    if kind.name in ("list", "tuple") and name in ("count", "copy"):
        return (INT if name == "count" else kind), False
    return (INT if name == "index" else ANY), True


def _of_dict(kind: Type, name: str, arguments: Sequence[Type]) -> Type:
    known = len(kind.arguments) == 2
    key, value = kind.arguments if known else (ANY, ANY)
    if name == "get":
        return types.union((value, arguments[1] if len(arguments) > 1 else types.NONE))
    if name == "copy":
        return kind
    inner = {"keys": key, "values": value, "items": named("tuple", (key, value))}[name]
    return named("list", (inner,))


def function(name: str, arguments: Sequence[Type]) -> tuple[Type, bool]:
    """Return the type of what a function gives, and whether it may raise."""
    first = arguments[0] if arguments else ANY
    names = [each.name for each in arguments]
    are_numbers = bool(names) and all(each in NUMBERS for each in names)
    item = types.element(first)
    match name:
        case "len":
            return INT, first.name not in SIZED
        case "str" | "repr" | "ascii" | "format":
            return STR, name == "format" and len(arguments) > 1
        case "bool":
            return BOOL, False
        case "int":
            return INT, first.name not in ("int", "bool")
        case "float":
            return FLOAT, not are_numbers
        case "abs":
            return first, not are_numbers
        case "round":
            return (INT if len(arguments) == 1 else first), names not in (["int"], ["int", "int"])
        case "range":
            return named("range"), not (names and all(each in ("int", "bool") for each in names))
        case "any" | "all":
            return BOOL, first.name not in SIZED
        case _:
            return _of_collection(name, arguments, first, item, are_numbers=are_numbers)


def _of_collection(
    name: str, arguments: Sequence[Type], first: Type, item: Type, *, are_numbers: bool
) -> tuple[Type, bool]:
    is_sized = first.name in SIZED
    match name:
        case "min" | "max":
            several = len(arguments) > 1
            return (types.union(arguments) if several else item), not (several and are_numbers)
        case "sum":
            is_number = item.name in NUMBERS
            kind = INT if item.name == "bool" else item if is_number else ANY
            return kind, not (is_number and is_sized)
        case "sorted":
            return named("list", (item,)), not (is_sized and item.name in (*NUMBERS, "str"))
        case "list" | "reversed" | "set" | "frozenset":
            made = "list" if name == "reversed" else name
            return named(made, (item,)), bool(arguments) and not is_sized
        case "tuple":
            return named("tuple", (item, types.ELLIPSIS)), bool(arguments) and not is_sized
        case "enumerate":
            return named("list", (named("tuple", (INT, item)),)), not is_sized
        case "zip":
            row = named("tuple", tuple(map(types.element, arguments)))
            return named("list", (row,)), not all(each.name in SIZED for each in arguments)
        case "dict":
            return named("dict"), bool(arguments) and first.name != "dict"
    return ANY, True
