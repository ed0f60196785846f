"""Values of records in words: times, sizes, types, and text cut to the room that there is."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from levada_compiler.render.cells import cells, one_line, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TextIO

#: Columns of what is no terminal: a file or a pipe is not cut to the width of a screen.
_WIDE = 200
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def columns(stream: TextIO) -> int:
    """Return how many columns a line on a stream may have."""
    if not stream.isatty() and not os.environ.get("COLUMNS"):
        return _WIDE
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def has_blocks(stream: TextIO) -> bool:
    """Whether a stream can show the characters of a sparkline."""
    if os.environ.get("TERM") == "dumb":
        return False
    try:
        "▁█".encode(stream.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def local_time(time: str | None) -> str:
    """Return a time of a record as this machine's clock has it: ``2026-01-02 15:04:05``."""
    from datetime import datetime

    if time is None:
        return ""
    try:
        return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):
        return one_line(time)


def size(count: float) -> str:
    """Return a number of bytes in words: ``812 B``, ``1.4 MiB``.

    >>> size(1_500_000)
    '1.4 MiB'
    """
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    digits = 1 if unit and count < 99.95 else 0
    return f"{count:.{digits}f} {_UNITS[unit]}"


def type_name(name: str) -> str:
    """Return a class as people call it: ``DataFrame`` of ``pandas.core.frame:DataFrame``."""
    return name.rpartition(":")[2]


def short_digest(digest: str | None) -> str:
    """Return the beginning of a digest, as git shows commits."""
    return "" if digest is None else digest.rpartition(":")[2][:12]


def artifact(held: Mapping[str, Any]) -> str:
    """Return in a few words what an artifact is: ``DataFrame, parquet, 1.4 MiB``."""
    return f"{type_name(held['type'])}, {held['format']}, {size(held['size'])}"


def compact(value: object) -> str:
    """Return a value as JSON in one line."""
    return one_line(json.dumps(value, ensure_ascii=False, default=str))


def cut(text: str, room: int) -> str:
    """Return as much of a line as has room, with ``…`` for the rest."""
    if width(text) <= room:
        return text
    total = 0
    for index, cell in enumerate(cells(text)):
        total += cell.width
        if total > room - 1:
            return text[:index] + "…"
    return text


def shortened_name(text: str, room: int) -> str:
    """Return a name without its middle, if there is no room for it: names differ at their ends.

    >>> shortened_name("fit[path=data/part-7.csv]", 15)
    'fit[pat…-7.csv]'
    """
    if width(text) <= room:
        return text
    tail = ""
    for cell in reversed(cells(text)):
        if width(tail) + cell.width > (room - 1) // 2:
            break
        tail = cell.text + tail
    return cut(text, room - width(tail)) + tail


def packed(pieces: Iterable[str], room: int, gap: str = "  ") -> list[str]:
    """Return pieces of text in as few lines as they fit into; a piece stays in one line."""
    lines: list[str] = []
    for piece in pieces:
        shown = cut(piece, room)
        if lines and width(lines[-1]) + len(gap) + width(shown) <= room:
            lines[-1] += gap + shown
        else:
            lines.append(shown)
    return lines
