"""Block YAML for files that people read: the dump of PyYAML takes ten times as long.

Only JSON's values are written. A string is plain where every reader of YAML 1.1 and 1.2 takes it
for a string, a literal block where it has lines, and JSON's (which YAML has as well) elsewhere.
A key that is a :class:`Key` has a comment above it.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

#: It starts like a name, so it is no number and no date, and has neither ": " nor " #".
_PLAIN = re.compile(r"(?:-?[A-Za-z_]|[/(])(?:[!-9;-~]|:(?=[!-~])| (?=[!\"$-~]))*")
_WORDS = frozenset(("y", "n", "yes", "no", "true", "false", "on", "off", "null"))
_BEYOND_ASCII = re.compile(r"[^\n -~]")
#: What no literal block can hold. It takes 2 ms to compile, so not before it is needed.
_NOT_LITERAL = "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff-\uffff]"
#: A longer one has a mark before it: readers look so far, and a bit more, for the colon after it.
_LONGEST_KEY = 1000


class Key(str):
    """A key with a comment above it."""

    __slots__ = ("comment",)

    def __new__(cls, text: str, comment: str) -> Self:
        """Make one."""
        key = super().__new__(cls, text)
        key.comment = comment
        return key

    comment: str


def comment(text: str, indent: str = "") -> list[str]:
    """The lines of a comment, without what cannot be seen."""
    seen = ("".join(c if c.isprintable() else " " for c in line) for line in text.splitlines())
    return [f"{indent}# {line.strip()}".rstrip() for line in seen]


def dump(*documents: Mapping[str, Any]) -> str:
    """One YAML document for each."""
    texts = []
    for document in documents:
        lines: list[str] = []
        _mapping(document, "", lines)
        texts.append("\n".join(lines) + "\n")
    return "---\n".join(texts)


def _mapping(value: Mapping[str, Any], indent: str, lines: list[str]) -> None:
    for key, item in value.items():
        if isinstance(key, Key):
            lines += comment(key.comment, indent)
        name = _text(key)
        if len(name) > _LONGEST_KEY:
            lines.append(f"{indent}? {name}")
            name = ""
        _entry(f"{indent}{name}:", item, indent, lines)


def _entry(head: str, value: Any, indent: str, lines: list[str]) -> None:
    """A key, or the dash of an item, with its value."""
    if isinstance(value, dict) and value:
        lines.append(head)
        _mapping(value, f"{indent}  ", lines)
    elif isinstance(value, list) and value:
        lines.append(head)
        _sequence(value, indent, lines)
    elif isinstance(value, str) and _is_literal(value):
        lines.append(f"{head} |" if value.endswith("\n") else f"{head} |-")
        rows = value.removesuffix("\n").split("\n")
        lines += [f"{indent}  {row}" if row else "" for row in rows]
    else:
        lines.append(f"{head} {_scalar(value)}")


def _sequence(values: list[Any], indent: str, lines: list[str]) -> None:
    for value in values:
        inner = f"{indent}  "
        if isinstance(value, dict) and value:
            start = len(lines)
            _mapping(value, inner, lines)
            lines[start] = f"{indent}- {lines[start][len(inner) :]}"
        elif isinstance(value, list) and value:
            _entry(f"{indent}-", value, inner, lines)
        else:
            _entry(f"{indent}-", value, indent, lines)


def _is_literal(text: str) -> bool:
    """Whether a block gives it back: its first line sets the indent, it ends with one newline."""
    return (
        "\n" in text
        and text[0] not in " \n"
        and not text.endswith("\n\n")
        and not (_BEYOND_ASCII.search(text) and re.search(_NOT_LITERAL, text))
    )


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    return _float(value) if isinstance(value, float) else json.dumps(value)


def _float(value: float) -> str:
    """A float that is one in YAML 1.1 too, which wants a point before an exponent."""
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa or not e else mantissa + '.0'}{e}{exponent}"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # What YAML takes for a line break, or does not take at all, JSON may have as it is.
    return "".join(c if _is_printable(c) else json.dumps(c)[1:-1] for c in quoted)


def _is_printable(character: str) -> bool:
    return character not in "\x7f\x85\u2028\u2029\ufeff\ufffe\uffff" and not (
        "\x80" <= character < "\xa0" or "\ud800" <= character <= "\udfff"
    )
