"""Source text as a terminal shows it: tabs, wide characters, and what must not be shown as is."""

from __future__ import annotations

import json
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


#: What GitHub's and Azure's runners take for a command: the first at the start of a line.
_COMMAND = re.compile(r"(?:^|(?<=\r))([^\S\r\n]*):(?=:[A-Za-z])|#(?=#(?:vso)?\[)", re.MULTILINE)
#: All but what every terminal shows as it is.
_UNUSUAL = re.compile(r"[^\n -~]")
#: Sequences of ECMA-48: CSI, strings up to ST or BEL, and the others; also begun by C1 characters.
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def escape(text: str) -> str:
    """``text`` for a message: no control character, no bidirectional override, one line or more.

    Newlines stay; everything else that a terminal would act on is written as ``<U+202E>``. No line
    is a command to the runner of a CI job.
    """
    if _UNUSUAL.search(text):
        text = "".join(char if char == "\n" else _shown(char) for char in text)
    return without_commands(text)


def one_line(text: str) -> str:
    """The same within one line: newlines are shown too."""
    return escape(text).replace("\n", "<U+000A>")


def coloured(text: str) -> str:
    """The same for a terminal, where colours and tabs stay and all other sequences are shown."""
    if not _UNUSUAL.search(text):
        return text
    kept = _COLOUR.findall(text)
    parts = ("".join(_visible(char) for char in part) for part in _COLOUR.split(text))
    return "".join(part + colour for part, colour in zip(parts, [*kept, ""], strict=True))


def without_sequences(text: str, *, colours: bool) -> str:
    """A line of output of other programs: what moves the cursor is left out, the rest is shown."""
    found = _SEQUENCE.findall(text)
    kept = [each if colours and _COLOUR.fullmatch(each) else "" for each in found]
    parts = map(escape, _SEQUENCE.split(text))
    shown = "".join(part + colour for part, colour in zip(parts, [*kept, ""], strict=True))
    return shown + "\x1b[0m" if any(kept) else shown


def without_commands(text: str, *, is_line_start: bool = True) -> str:
    """``text`` in which a CI job finds no workflow command."""
    if "::" not in text and "##" not in text:
        return text

    def shown(found: re.Match[str]) -> str:
        if found[0].endswith("#"):
            return "<U+0023>"
        if not is_line_start and not found.start():
            return found[0]
        return f"{found[1]}<U+003A>"

    return _COMMAND.sub(shown, text)


def escaped_in_json(text: str) -> str:
    """JSON in which what must not be shown as it is, and a workflow command, is escaped."""
    if _UNUSUAL.search(text) or "##" in text:
        text = "".join(
            char if char == "\n" or len(_shown(char)) == 1 else _escaped(char) for char in text
        )
        text = text.replace("##[", "\\u0023#[").replace("##vso[", "\\u0023#vso[")
    return text


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]


def _visible(char: str) -> str:
    return char if char in "\n\t" else _shown(char)


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
