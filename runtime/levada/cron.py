"""Checks the text of a schedule: the five fields of cron, or one of its names."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NAMES: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
#: Name, least, most, and the words that stand for numbers from ``least`` on.
FIELDS: Final[tuple[tuple[str, int, int, list[str]], ...]] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 7, DAYS),
)
ITEM: Final = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


def check(text: str) -> None:
    """Raise ValueError if ``text`` is not a schedule that every cron understands."""
    if text.startswith("@"):
        if text not in NAMES:
            raise ValueError(f"`{text}` is not a schedule; it may be {', '.join(NAMES)}")
        return
    fields = text.split()
    if f"@{text.lower()}" in NAMES:
        raise ValueError(f"`{text}` is not a schedule; did you mean `@{text.lower()}`?")
    if len(fields) != len(FIELDS):
        raise ValueError(f"a schedule has five fields, `{text}` has {len(fields)}")
    for field, (name, least, most, words) in zip(fields, FIELDS, strict=True):
        for item in field.split(","):
            _check_item(item, name, least, most, words)


def _check_item(item: str, name: str, least: int, most: int, words: list[str]) -> None:
    found = ITEM.fullmatch(item)
    if found is None:
        raise ValueError(f"`{item}` is not a {name} of a schedule")
    star, first, last, step = found.groups()
    if step is not None and not 1 <= int(step) <= most:
        raise ValueError(f"the step `/{step}` of the {name} must be from 1 to {most}")
    if star:
        return
    start = _number(first, name, least, most, words)
    end = _number(last, name, least, most, words) if last else start
    if end < start:
        raise ValueError(f"the range `{item}` of the {name} ends before it starts")


def _number(text: str, name: str, least: int, most: int, words: list[str]) -> int:
    lowered = text.lower()
    if lowered in words:
        return words.index(lowered) + least
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"the {name} `{text}` must be from {least} to {most}")
    return int(text)
