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
    from collections.abc import Iterator, Mapping
    from typing import Any, Self

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_WORDS = frozenset(("y", "n", "yes", "no", "true", "false", "on", "off", "null"))
#: What a literal block can hold: lines of printable characters.
_LITERAL = re.compile(r"[\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\U00010000-\U0010ffff]+")
#: A longer one has a mark before it: readers look so far, and a bit more, for the colon after it.
_LONGEST_KEY = 1000
_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")


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
    return "---\n".join("\n".join(_mapping(document, "")) + "\n" for document in documents)


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(key, Key):
            yield from comment(key.comment, indent)
        name = _text(key)
        if len(name) > _LONGEST_KEY:
            yield f"{indent}? {name}"
            name = ""
        yield from _entry(f"{indent}{name}:", item, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    """A key, or the dash of an item, with its value."""
    if isinstance(value, dict) and value:
        yield head
        yield from _mapping(value, f"{indent}  ")
    elif isinstance(value, list) and value:
        yield head
        yield from _sequence(value, indent)
    elif isinstance(value, str) and _is_literal(value):
        yield f"{head} |" if value.endswith("\n") else f"{head} |-"
        lines = value.removesuffix("\n").split("\n")
        yield from (f"{indent}  {line}" if line else "" for line in lines)
    else:
        yield f"{head} {_scalar(value)}"


def _sequence(values: list[Any], indent: str) -> Iterator[str]:
    for value in values:
        inner = f"{indent}  "
        if isinstance(value, dict) and value:
            first, *rest = _mapping(value, inner)
            yield f"{indent}- {first[len(inner) :]}"
            yield from rest
        elif isinstance(value, list) and value:
            yield from _entry(f"{indent}-", value, inner)
        else:
            yield from _entry(f"{indent}-", value, indent)


def _is_literal(text: str) -> bool:
    """Whether a block gives it back: its first line sets the indent, it ends with one newline."""
    return (
        "\n" in text
        and _LITERAL.fullmatch(text) is not None
        and text[0] not in " \n"
        and not text.endswith("\n\n")
        and not _LINE_BREAKS.search(text)
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
