"""Values of cells and arrays as JSON that people read: short, and without NaN."""

from __future__ import annotations

from math import isfinite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.json_types import Json

#: Characters of the text of a cell or a name.
LONGEST = 100


def shorten(text: str, longest: int = LONGEST) -> str:
    """Cut a text, and show by ``…`` that it was cut."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def cell(value: object) -> Json:
    """Give one value as JSON: numbers, bool and None as such, anything else as short text.

    >>> cell(float("nan")), cell(b"abc")
    (None, "b'abc'")
    """
    kind = type(value)
    if value is None or kind is bool:
        return value  # type: ignore[return-value]
    if kind is int:
        return value if abs(value) < 1 << 63 else shorten(hex(value))  # type: ignore[arg-type, return-value]
    if kind is float:
        return number(value)  # type: ignore[arg-type]
    if kind is str:
        return shorten(value)  # type: ignore[arg-type]
    if kind in (bytes, bytearray):
        return shorten(repr(bytes(value[:LONGEST])))  # type: ignore[index]
    text = str(value)
    return None if text in ("NaT", "<NA>") else shorten(text)


def number(value: float) -> Json:
    """Give a float as JSON: NaN as null, infinities as text."""
    if isfinite(value):
        return value
    return None if value != value else ("Infinity" if value > 0 else "-Infinity")
