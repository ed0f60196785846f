"""Python source text as `ruff format` would leave it (line length 100).

A value is a string of source, a :class:`CallText`, a :class:`ListText` or a :class:`DictText`.
Whatever fits is put on one line, whatever does not has one item a line and a trailing comma.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from levada_compiler.slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

WIDTH = 100

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class CallText:
    """``function(positional, name=value)``; the name ``**`` unpacks a value."""

    function: str
    positional: tuple[Text, ...] = ()
    keywords: tuple[tuple[str, Text], ...] = ()


@dataclass(frozen=True, slots=True)
class ListText:
    """``[a, b]``."""

    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class DictText:
    """``{key: value}``; keys are source text."""

    items: tuple[tuple[str, Text], ...]


Text: TypeAlias = str | CallText | ListText | DictText


def string(value: str) -> str:
    """A string literal: double quotes unless single ones save escapes."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join(_character(c, quote) for c in value) + quote


def literal(value: object) -> Text:
    """A JSON value as Python source."""
    match value:
        case str():
            return string(value)
        case list() | tuple():
            return ListText(tuple(literal(item) for item in value))
        case Mapping():
            return DictText(tuple((string(str(k)), literal(v)) for k, v in value.items()))
        case float() if value != value or value in (float("inf"), -float("inf")):
            return f'float("{value}")'
        case _:
            return repr(value)


def strings(values: Iterable[str]) -> ListText:
    """A list of string literals."""
    return ListText(tuple(string(value) for value in values))


def call(function: str, *positional: Text, **keywords: Text) -> CallText:
    """A call; keywords in the order given."""
    return CallText(function, positional, tuple(keywords.items()))


def statement(prefix: str, value: Text, suffix: str, indent: int) -> list[str]:
    """The lines of ``prefix value suffix``."""
    flat = " " * indent + prefix + one_line(value) + suffix
    is_long = len(flat) > WIDTH
    if (
        is_long
        and isinstance(value, str)
        and prefix.endswith(" = ")
        and len(value) + indent + 4 <= WIDTH
    ):
        return [" " * indent + prefix + "(", " " * (indent + 4) + value, " " * indent + ")"]
    if not is_long or isinstance(value, str) or not _parts(value)[1]:
        return [flat]
    opening, parts, closing = _parts(value)
    lines = [" " * indent + prefix + opening]
    for name, item in parts:
        lines += statement(name, item, ",", indent + 4)
    return [*lines, " " * indent + closing + suffix]


def one_line(value: Text) -> str:
    """The value on one line."""
    if isinstance(value, str):
        return value
    opening, parts, closing = _parts(value)
    return opening + ", ".join(name + one_line(item) for name, item in parts) + closing


def names(value: Text) -> Iterator[str]:
    """The names that a value refers to: functions that it calls, and names that it passes on."""
    match value:
        case str():
            if value.isidentifier():
                yield value
        case CallText():
            yield value.function.partition(".")[0]
            for item in (*value.positional, *(item for _, item in value.keywords)):
                yield from names(item)
        case ListText():
            for item in value.items:
                yield from names(item)
        case DictText():
            for _, item in value.items:
                yield from names(item)


def docstring(text: str, indent: int) -> list[str]:
    """A docstring of one or more lines. Quotes, backslashes and what cannot be seen are escaped."""
    margin = " " * indent
    lines = [_documented(line).rstrip() for line in text.strip().splitlines()] or [""]
    if lines[0].startswith('"'):
        lines[0] = "\\" + lines[0]
    if len(lines) == 1 and not lines[0].endswith(('"', "\\")):
        return [f'{margin}"""{lines[0]}"""']
    return [
        f'{margin}"""{lines[0]}',
        *((margin + line).rstrip() for line in lines[1:]),
        f'{margin}"""',
    ]


def comment(text: str, indent: int) -> str:
    """A comment of one line."""
    return " " * indent + "# " + "".join(c if c.isprintable() else " " for c in text).strip()


def _documented(line: str) -> str:
    shown = "".join(c if c == '"' else _character(c, "") for c in line.expandtabs(4))
    return shown.replace('"""', '\\"\\"\\"')


def _character(character: str, quote: str) -> str:
    if character == quote:
        return "\\" + character
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _parts(value: CallText | ListText | DictText) -> tuple[str, list[tuple[str, Text]], str]:
    match value:
        case CallText():
            named = [(name if name == "**" else f"{name}=", item) for name, item in value.keywords]
            return f"{value.function}(", [*(("", item) for item in value.positional), *named], ")"
        case ListText():
            return "[", [("", item) for item in value.items], "]"
        case DictText():
            return "{", [(f"{key}: ", item) for key, item in value.items], "}"
