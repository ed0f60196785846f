"""Source text as a terminal shows it: tabs, wide characters, and what must not be shown as is."""

from __future__ import annotations

import re
import unicodedata

from levada_compiler.slotted import dataclass

TAB = 4
_JOINER = "\u200d"
#: Also the spaces that look like one and are none to Python.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
_HARMLESS = {" ", "\u3000", _JOINER}
_ZERO_WIDTH = {"Mn", "Me"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One character: what is printed for it and how many columns that takes."""

    text: str
    width: int


def escape(text: str) -> str:
    """``text`` for a message: no control character, no bidirectional override, one line or more.

    Newlines stay; everything else that a terminal would act on is written as ``<U+202E>``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char == "\n" else _shown(char) for char in text)


def cells(line: str) -> list[Cell]:
    """One cell a character of a source line (which has no newline)."""
    if line.isascii() and line.isprintable():
        return [Cell(char, 1) for char in line]
    found: list[Cell] = []
    column = 0
    for index, char in enumerate(line):
        cell = _cell(char, column, line[index - 1] if index else "")
        column += cell.width
        found.append(cell)
    return found


def source_lines(text: str) -> list[str]:
    """The lines as Python's parser counts them: form feeds and the like do not end one."""
    return re.split(r"\r\n|\r|\n", text)


def width(text: str) -> int:
    """The columns that a text takes."""
    return sum(cell.width for cell in cells(text))


def _cell(char: str, column: int, before: str) -> Cell:
    if char == "\t":
        gap = TAB - column % TAB
        return Cell(" " * gap, gap)
    if char == _JOINER:
        return Cell(char, 0)
    shown = _shown(char)
    if len(shown) > 1:
        return Cell(shown, len(shown))
    if unicodedata.category(char) in _ZERO_WIDTH or before == _JOINER or _is_skin_tone(char):
        return Cell(char, 0)
    return Cell(char, 2 if unicodedata.east_asian_width(char) in "WF" else 1)


def _shown(char: str) -> str:
    if char in _HARMLESS or unicodedata.category(char) not in _INVISIBLE:
        return char
    return f"<U+{ord(char):04X}>"


def _is_skin_tone(char: str) -> bool:
    return "\U0001f3fb" <= char <= "\U0001f3ff"
