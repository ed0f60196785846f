"""JSON in lines, for requests that people read and compare in a file."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Characters of a line; what is longer has one item a line.
WIDTH = 120


def readable_json(value: dict[str, Any]) -> str:
    """Return an object as JSON with one field a line, and with lines inside of a long field.

    Every line costs its margin in the file: brackets have none of their own, and fields that are
    no lists or objects share one.
    """
    return "\n".join(_broken("", value, 0))


def _lines(head: str, value: Any, indent: int) -> list[str]:
    """Return the lines of a value after ``head``."""
    flat = head + json.dumps(value, ensure_ascii=False)
    if len(flat) <= WIDTH or not _has_items(value):
        return [flat]
    return _broken(head, value, indent)


def _broken(head: str, value: Any, indent: int) -> list[str]:
    """Return the lines of a list or an object with its items on lines of their own."""
    if isinstance(value, dict):
        brackets = "{}"
        items = [(f"{json.dumps(k, ensure_ascii=False)}: ", item) for k, item in value.items()]
    else:
        brackets, items = "[]", [("", item) for item in value]
    lines: list[str] = []
    is_shared = False
    for name, item in items:
        found = _lines(" " * (indent + 1) + name, item, indent + 1)
        was_shared, is_shared = is_shared, not _has_items(item)
        if lines:
            lines[-1] += ","
        if was_shared and is_shared and len(lines[-1]) + len(found[0]) <= WIDTH:
            lines[-1] += found[0][indent:]
        else:
            lines += found
    lines[0] = head + brackets[0] + lines[0].lstrip(" ")
    lines[-1] += brackets[1]
    return lines


def _has_items(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)
