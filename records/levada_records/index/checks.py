"""Checks the rows of a segment: whoever can write to a store may have written one.

What a database would not take, or what would break a query for everybody, is no row.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from . import rows
from .tables import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .rows import Row
    from .tables import Column

_TYPES: dict[str, set[type]] = {
    "text": {str},
    "json": {str},
    "integer": {int},
    "real": {int, float},
}
_TIMES = ("started", "finished")
#: Digits of a number that each database can compare with others.
_LONGEST_INTEGER = 300


def checked(values: list[list[Any]]) -> list[Row]:
    """Return rows, in the order of `COLUMNS`. Raises ValueError if a database cannot have them."""
    if {*map(len, values)} - {len(COLUMNS)}:
        raise ValueError("a row has another number of columns")
    if not values:
        return []
    by_column = zip(*values, strict=True)
    found = [_checked(column, held) for column, held in zip(COLUMNS, by_column, strict=True)]
    return list(zip(*found, strict=True))


def _checked(column: Column, held: Sequence[Any]) -> Sequence[Any]:
    types = {*map(type, held)}
    is_key = column.part == "key"
    if types - _TYPES[column.kind] - (set() if is_key else {type(None)}):
        raise ValueError(f"{column.name} is {types}")
    there = {value for value in held if value is not None}
    if column.kind in ("text", "json"):
        _check_texts(column, there)
    elif any(not -rows.INT64 <= value < rows.INT64 for value in there if type(value) is int):
        raise ValueError(f"{column.name} is too large")
    elif any(value - value != 0 for value in there):
        raise ValueError(f"{column.name} is not finite")
    if column.kind == "json":
        clean = _checked_json(column, list(there))
        return [clean[value] if value is not None else None for value in held]
    return held


def _check_texts(column: Column, texts: set[str]) -> None:
    """Raise ValueError if there is half a surrogate pair, a NUL, or what is too long."""
    together = "".join(texts)
    if "\0" in together:
        raise ValueError(f"{column.name} has a NUL")
    together.encode()
    longest = max(map(len, texts), default=0)
    if longest > (rows.LONGEST_JSON if column.kind == "json" else rows.LONGEST_TEXT):
        raise ValueError(f"{column.name} is too long")
    if column.part == "key" and not all(map(rows.is_name, texts)):
        raise ValueError(f"{column.name} is no name")
    if column.name in _TIMES and not all(map(rows.is_time, texts)):
        raise ValueError(f"{column.name} is no time")
    if column.name == "status" and not texts <= {rows.RUNNING, *rows.STATUSES}:
        raise ValueError("a status is none")


def _checked_json(column: Column, texts: list[str]) -> dict[str, str]:
    """Return each text with what of it a database can have.

    Raises ValueError if one is no JSON object.
    """
    clean = {text: text for text in texts}
    values, is_odd = _parsed(texts)
    for text, value in zip(texts, values, strict=True):
        if type(value) is not dict:
            raise ValueError(f"{column.name} is no object")
        if column.name == "tag_keys" and not all(map(_is_keyed, value.values())):
            raise ValueError("tag_keys is of another form")
        is_good = column.name != "metrics" or all(map(rows.is_metric, value.values()))
        if is_odd or not is_good:
            clean[text] = rows.json_column(column.name, value)
    return clean


def _parsed(texts: list[str]) -> tuple[list[Any], bool]:
    """Parse texts, each of which is JSON; gives whether one may have what no database takes.

    Raises ValueError if one is no JSON.

    In one call, which takes a third of the time. No text can pass as two, or two as one: what is
    between them cannot be guessed.
    """
    between = os.urandom(16).hex()
    together = "[" + f',"{between}",'.join(texts) + "]"
    odd: list[object] = ["escaped"] if "\\u" in together else []

    def number(text: str) -> float:
        value = float(text)
        if value - value != 0:
            odd.append(value)
        return value

    def integer(text: str) -> int:
        if len(text) > _LONGEST_INTEGER:
            odd.append(text)
        return int(text)

    def constant(text: str) -> float:
        odd.append(text)
        return float(text)

    found = json.loads(together, parse_float=number, parse_int=integer, parse_constant=constant)
    if len(found) != max(0, 2 * len(texts) - 1) or any(each != between for each in found[1::2]):
        raise ValueError("what is no JSON")
    return found[::2], bool(odd)


def _is_keyed(value: object) -> bool:
    """Whether something is the key of a tag's entry, and the tag's value or None."""
    if type(value) is not list or len(value) != 2:
        return False
    return type(value[0]) is str and type(value[1]) in (str, type(None))
