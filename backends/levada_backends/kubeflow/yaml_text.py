"""JSON values as YAML in block style, for people to read and to compare.

A string is written plain where no reader could take it for anything else, as a literal block where
it has lines, and quoted otherwise. Both YAML 1.1 (PyYAML) and 1.2 (Go) read it as what it was.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

_PLAIN = re.compile(r"""(?:[A-Za-z/]|--?[A-Za-z])[A-Za-z0-9_./:@()=,+<>*%|!&\[\]{}"' -]*""")
#: What YAML 1.1 or 1.2 reads as something else than a string.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


class Key(str):
    """A key with a comment above it."""

    __slots__ = ("comment",)

    def __new__(cls, text: str, comment: str) -> Self:
        """Make one."""
        key = super().__new__(cls, text)
        key.comment = comment
        return key

    comment: str


def document(content: dict[str, Any]) -> str:
    """A document of one mapping."""
    return "".join(line + "\n" for line in _mapping(content, ""))


def comment(text: str, indent: str = "") -> list[str]:
    """The lines of a comment."""
    return [f"{indent}# {_visible(line)}".rstrip() for line in text.splitlines()]


def _mapping(content: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(key, Key):
            yield from comment(key.comment, indent)
        yield from _entry(f"{indent}{_string(key, '')[0]}:", value, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield head
        yield from _mapping(value, indent + "  ")
    elif isinstance(value, list) and value:
        yield head
        yield from _sequence(value, indent)
    else:
        first, *rest = _scalar(value, indent + "  ")
        yield f"{head} {first}"
        yield from rest


def _sequence(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        inner = indent + "  "
        if isinstance(item, (dict, list)) and item:
            first, *rest = (
                _mapping(item, inner) if isinstance(item, dict) else _sequence(item, inner)
            )
            yield f"{indent}- {first.removeprefix(inner)}"
        else:
            first, *rest = _scalar(item, inner)
            yield f"{indent}- {first}"
        yield from rest


def _scalar(value: Any, indent: str) -> list[str]:
    if isinstance(value, str):
        return _string(value, indent)
    if isinstance(value, (dict, list)):
        return ["{}" if isinstance(value, dict) else "[]"]
    if isinstance(value, float):
        return [_number(value)]
    return [json.dumps(value)]


def _number(value: float) -> str:
    """A float that YAML 1.1 takes for one too: its exponent has a sign and a point before it."""
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}" if e else text


def _string(value: str, indent: str) -> list[str]:
    if _is_plain(value):
        return [value]
    if indent and _is_block(value):
        lines = value.removesuffix("\n").split("\n")
        style = "|" if value.endswith("\n") else "|-"
        return [style, *(indent + line if line else "" for line in lines)]
    if value.isprintable():
        return ["'" + value.replace("'", "''") + "'"]
    return ['"' + "".join(map(_escaped, value)) + '"']


def _is_plain(value: str) -> bool:
    if not _PLAIN.fullmatch(value) or value.lower() in _WORDS:
        return False
    return not (value.endswith((" ", ":")) or ": " in value)


def _is_block(value: str) -> bool:
    if "\n" not in value or value.endswith("\n\n") or value[0] in " \n":
        return False
    return all(line.isprintable() and (line == "" or line.strip()) for line in value.split("\n"))


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _visible(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line).strip()
