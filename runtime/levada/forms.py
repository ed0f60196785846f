"""Forms: how a parameter's value is written in JSON, and the type that a step is given.

A form is JSON itself, made by the compiler from an annotation:

* ``"any"``, ``"None"``, ``"bool"``, ``"int"``, ``"float"``, ``"str"``: the JSON value as it is
  (``"float"`` makes a float of a whole number), ``{"literal": [value, …]}`` one of these values;
* ``"bytes"`` (base64), ``"date"``, ``"datetime"``, ``"time"``, ``"timedelta"`` (ISO 8601),
  ``"Decimal"``, ``"UUID"``, ``"Path"``: a text;
* ``["list", form]``, ``["set", form]``, ``["frozenset", form]``, ``["tuple", form, "..."]``,
  ``["tuple", form, …]``: a list;
* ``["dict", key, value]``: an object, whose names are the texts of the keys;
* ``["union", form, …]``: the first that the JSON value is written as;
* ``{"enum": class, "members": {name: value}}``: the value of a member;
* ``{"dataclass" | "namedtuple" | "typeddict" | "made": class, "fields": {name: form}, "defaults":
  {name: JSON value}, "optional": [name, …]}``: an object. A field that is left out has its
  default, or is left to the class if it is optional. ``made`` classes run code: the step's process
  calls them with the fields.

Nothing is imported: what comes out is a tree, of which the step's process makes the value.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64

from levada.trees.canonical import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final, TypeAlias

    from levada.json_types import Json
    from levada.trees.tree_types import Tree

    #: A form of a class, an enumeration or literals, with what it needs by name.
    ClassForm: TypeAlias = "dict[str, Any]"
    Form: TypeAlias = "str | list[Form] | ClassForm"

CLASSES: Final = ("dataclass", "namedtuple", "typeddict", "made")
_DURATION: Final = re.compile(
    r"(?P<sign>[-+]?)P(?!$)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?!$)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)
#: What a text has to be, by the name of its form, as messages say it.
EXPECTED: Final = {
    "bytes": "bytes as base64",
    "date": "a date (YYYY-MM-DD)",
    "datetime": "a date and time (ISO 8601: YYYY-MM-DDTHH:MM:SS)",
    "time": "a time (HH:MM:SS)",
    "timedelta": "a duration (ISO 8601: P30D, PT1H30M)",
    "Decimal": "a decimal number as text",
    "UUID": "a UUID",
    "Path": "the text of a path",
}
_PLAIN: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "None": ((type(None),), "null"),
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
}


class FormError(ValueError):
    """A JSON value that is not of a form. The message says where, and what was expected."""


def converted(form: Form, value: Json, path: str) -> Tree:
    """Return the tree of a JSON value, of the type that a form stands for.

    ``path`` names the value (``config``) and what is in it (``config.layers[2].size``) in the
    message of a FormError.

    >>> converted(["tuple", "date", "..."], ["2025-01-02"], "days")
    {'$tuple': [{'$date': '2025-01-02'}]}
    """
    if isinstance(form, str):
        return _text_form(form, value, path)
    if isinstance(form, dict):
        return _of_class(form, value, path)
    kind, *parts = form
    if kind == "union":
        found = next((each for each in parts if _is_written_as(each, value)), None)
        if found is None:
            raise _mismatch(value, path, " or ".join(map(expected, parts)))
        return converted(found, value, path)
    if kind == "dict":
        return _dict(parts, value, path)
    if not isinstance(value, list):
        raise _mismatch(value, path, "a list")
    return _items(str(kind), parts, value, path)


def expected(form: Form) -> str:
    """Return what a message calls a value of a form."""
    if isinstance(form, str):
        return _PLAIN[form][1] if form in _PLAIN else EXPECTED.get(form, "any value")
    if isinstance(form, list):
        return "an object" if form[0] == "dict" else "a list"
    if "enum" in form or "literal" in form:
        values = form["members"].values() if "enum" in form else form["literal"]
        return f"one of {', '.join(map(shown, values))}"
    return f"an object of {next(iter(form.values())).rpartition(':')[2]}"


def _mismatch(value: object, path: str, what: str) -> FormError:
    return FormError(f"`{path}` is {shown(value)}, but {what} is expected")


def shown(value: object) -> str:
    """Return a JSON value as a message shows it."""
    from json import dumps

    text = dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


# ---------------------------------------------------------------------------- texts and numbers


def _text_form(form: str, value: Json, path: str) -> Tree:
    if form == "any":
        return value
    if form in _PLAIN:
        kinds, what = _PLAIN[form]
        fits = is_number(value) if form == "float" else isinstance(value, kinds)
        if not fits or (isinstance(value, bool) and form != "bool"):
            raise _mismatch(value, path, what)
        return float(value) if form == "float" and isinstance(value, int | float) else value
    if not isinstance(value, str):
        raise _mismatch(value, path, EXPECTED[form])
    try:
        return _TEXTS[form](value)
    except (ValueError, ArithmeticError, Base64Error):
        raise _mismatch(value, path, EXPECTED[form]) from None


def is_number(value: object) -> bool:
    """Return whether a JSON value is a number that a float can hold: not ``10**400``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def is_text_of(form: str, text: str) -> bool:
    """Whether a text is of a form that is a text: ``is_text_of("date", "2025-01-02")``."""
    try:
        _TEXTS[form](text)
    except (ValueError, ArithmeticError, Base64Error):
        return False
    return True


def _bytes(text: str) -> Tree:
    from levada import values

    return values.encode(a2b_base64(text.encode(), strict_mode=True) if text else b"")


def _date(text: str) -> Tree:
    from datetime import date

    return {"$date": date.fromisoformat(text).isoformat()}


def _datetime(text: str) -> Tree:
    from datetime import datetime

    from levada import values

    return values.encode(datetime.fromisoformat(text))


def _time(text: str) -> Tree:
    from datetime import time

    from levada import values

    return values.encode(time.fromisoformat(text))


def _timedelta(text: str) -> Tree:
    from levada import values

    return values.encode(duration(text))


def duration(text: str) -> object:
    """Return the ``timedelta`` of an ISO 8601 duration without years and months.

    >>> duration("P1DT2H")
    datetime.timedelta(days=1, seconds=7200)
    """
    from datetime import timedelta

    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as P30D or PT1H30M")
    words = found.groupdict(default="0")
    sign = words.pop("sign")
    whole, _, fraction = words.pop("seconds").partition(".")
    amounts = {name: int(number) for name, number in words.items()}
    microseconds = int(fraction.ljust(6, "0"))
    made = timedelta(seconds=int(whole), microseconds=microseconds, **amounts)
    return -made if sign == "-" else made


def duration_text(value: Any) -> str:
    """Return a ``timedelta`` as ISO 8601, the inverse of :func:`duration`.

    >>> from datetime import timedelta
    >>> duration_text(timedelta(days=-1, hours=2))
    '-PT22H'
    """
    sign = "-" if value.days < 0 else ""
    value = abs(value)
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    days = f"{value.days}D" if value.days else ""
    time = f"{hours}H" if hours else ""
    time += f"{minutes}M" if minutes else ""
    time += f"{seconds}{fraction}S" if seconds or fraction else ""
    return f"{sign}P{days}{'T' + time if time else ''}" if days or time else "PT0S"


def _decimal(text: str) -> Tree:
    from decimal import Decimal

    return {"$decimal": str(Decimal(text))}


def _uuid(text: str) -> Tree:
    from uuid import UUID

    return {"$uuid": str(UUID(text))}


def _path(text: str) -> Tree:
    if "\0" in text:
        raise ValueError("a path has no null characters")
    return {"$path": text}


_TEXTS: Final[dict[str, Callable[[str], Tree]]] = {
    "bytes": _bytes,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "timedelta": _timedelta,
    "Decimal": _decimal,
    "UUID": _uuid,
    "Path": _path,
}


# ---------------------------------------------------------------------------- containers


def _items(kind: str, parts: list[Form], value: Sequence[Json], path: str) -> Tree:
    if kind == "tuple" and parts[1:] != ["..."] and len(parts) != len(value):
        raise _mismatch(value, path, f"a list of {len(parts)} items")
    forms = parts if kind == "tuple" and parts[1:] != ["..."] else parts[:1] * len(value)
    pairs = enumerate(zip(forms, value, strict=True))
    trees = [converted(each, item, f"{path}[{i}]") for i, (each, item) in pairs]
    if kind in ("set", "frozenset"):
        distinct = {canonical(tree): tree for tree in trees}
        trees = [tree for _, tree in sorted(distinct.items())]
    return trees if kind == "list" else {f"${kind}": trees}


def _dict(parts: list[Form], value: Json, path: str) -> Tree:
    if not isinstance(value, dict):
        raise _mismatch(value, path, "an object")
    key, item = parts
    pairs = [
        [_key(key, name, path), converted(item, each, f"{path}[{shown(name)}]")]
        for name, each in value.items()
    ]
    if all(isinstance(name, str) and name[:1] != "$" for name, _ in pairs):
        return {str(name): each for name, each in pairs}
    return {"$dict": pairs}


def _key(form: Form, name: str, path: str) -> Tree:
    """Return the tree of a key, which JSON has as a text."""
    value: Json = name
    texts = {"int": int, "float": float}
    if isinstance(form, str) and form in texts:
        try:
            value = texts[form](name)
        except ValueError:
            raise _mismatch(name, f"a key of {path}", _PLAIN[form][1]) from None
    elif isinstance(form, dict) and "enum" in form:
        texts_of = {str(each): each for each in form["members"].values()}
        value = texts_of.get(name, name)
    return converted(form, value, f"a key of {path}")


def _is_written_as(form: Form, value: object) -> bool:
    """Whether a JSON value is one of this side of a union: sides differ by their kind in JSON."""
    if isinstance(form, list) and form[0] == "union":
        return any(_is_written_as(each, value) for each in form[1:])
    if isinstance(form, list):
        return isinstance(value, dict if form[0] == "dict" else list)
    if isinstance(form, dict) and ("enum" in form or "literal" in form):
        values = form["members"].values() if "enum" in form else form["literal"]
        return any(same(value, each) for each in values)
    if isinstance(form, dict):
        return isinstance(value, dict) and _has_literals(form["fields"], value)
    kinds = _PLAIN[form][0] if form in _PLAIN else object if form == "any" else str
    return isinstance(value, kinds) and (not isinstance(value, bool) or form in ("bool", "any"))


def _has_literals(fields: dict[str, Form], value: dict[str, object]) -> bool:
    """Whether the fields that tell classes apart, those of a ``Literal``, have their values."""
    return all(
        any(same(value[name], each) for each in form["literal"])
        for name, form in fields.items()
        if isinstance(form, dict) and "literal" in form and name in value
    )


def same(one: object, other: object) -> bool:
    """Equality of JSON values, in which true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


# ---------------------------------------------------------------------------- classes


def _of_class(form: ClassForm, value: Json, path: str) -> Tree:
    if "literal" in form:
        if not any(same(value, each) for each in form["literal"]):
            raise _mismatch(value, path, expected(form))
        return value
    if "enum" in form:
        for name, each in form["members"].items():
            if same(value, each):
                return {"$enum": [form["enum"], name, each]}
        raise _mismatch(value, path, expected(form))
    if not isinstance(value, dict):
        raise _mismatch(value, path, expected(form))
    kind = next(name for name in CLASSES if name in form)
    trees = _fields(form, value, path)
    if kind == "typeddict":
        return trees
    left_out = [name for name in trees if name not in value] if kind == "made" else []
    return {f"${kind}": [form[kind], trees, *([left_out] if left_out else [])]}


def _fields(form: ClassForm, value: Mapping[str, Json], path: str) -> dict[str, Tree]:
    fields, defaults = form["fields"], form.get("defaults", {})
    for name in value:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise FormError(f"`{path}` has an unknown field `{name}`; its fields are: {known}")
    trees: dict[str, Tree] = {}
    for name, each in fields.items():
        if name in value or name in defaults:
            given = value[name] if name in value else defaults[name]
            trees[name] = converted(each, given, f"{path}.{name}")
        elif name not in form.get("optional", ()):
            raise FormError(f"`{path}` has no `{name}`: {expected(each)} is expected")
    return trees
