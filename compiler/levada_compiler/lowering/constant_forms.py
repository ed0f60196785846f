"""Constants as expressions: how each kind of value is written, and its type."""

from __future__ import annotations

from ..program.ir import Apply, Const, DictDisplay, Display

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr


def expression(value: object, span: Span) -> Expr:
    """Return a constant as an expression."""
    if value is None or isinstance(value, bool | int | float | str):
        return Const(value, span)
    if isinstance(value, dict):
        pairs = ((expression(k, span), expression(v, span)) for k, v in value.items())
        return DictDisplay(tuple(pairs), span)
    if isinstance(value, set):
        return Display("set", tuple(expression(item, span) for item in in_order(value)), span)
    if isinstance(value, range):
        return _apply("range", (value.start, value.stop, value.step), span)
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return Display(kind, tuple(expression(item, span) for item in value), span)
    return _apply(*_call(value), span)


def _apply(function: str, arguments: Iterable[object], span: Span) -> Expr:
    return Apply(function, tuple((None, expression(item, span)) for item in arguments), span)


def _call(value: object) -> tuple[str, tuple[object, ...]]:
    """Return the function, and its arguments, that give a constant which is no literal."""
    from datetime import date, time, timedelta, timezone
    from decimal import Decimal
    from fractions import Fraction
    from pathlib import Path, PurePath
    from uuid import UUID

    match value:
        case bytes():
            return "bytes.fromhex", (value.hex(),)
        case complex():
            return "complex", (value.real, value.imag)
        case frozenset():
            return "frozenset", (in_order(value),)
        case PurePath():
            return ("Path" if isinstance(value, Path) else "PurePosixPath"), (str(value),)
        case Fraction():
            return "Fraction", (value.numerator, value.denominator)
        case Decimal() | UUID():
            return type(value).__name__, (str(value),)
        case date() | time():
            return f"{type(value).__name__}.fromisoformat", (value.isoformat(),)
        case timedelta():
            return "timedelta", (value.days, value.seconds, value.microseconds)
        case timezone():
            return "timezone", (value.utcoffset(None),)
    raise TypeError(f"a constant of {type(value)}")


def in_order(items: Iterable[object]) -> list[object]:
    """Return the items of a set in an order that is the same everywhere."""
    return sorted(items, key=lambda item: (type(item).__name__, repr(item)))
