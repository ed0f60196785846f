"""Kubernetes' quantities (``500m``, ``4Gi``, ``1e3``), exactly.

The grammar and the canonical form are those of ``resource.Quantity`` in k8s.io/apimachinery:
https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#Quantity
"""

from __future__ import annotations

import math
import re

from levada_compiler.slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fractions import Fraction

_FORM = (
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE](?P<exponent>[+-]?[0-9]+))"
)
_BINARY = {f"{unit}i": 1024 ** (n + 1) for n, unit in enumerate("KMGTPE")}
_DECIMAL = dict(
    zip(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), range(-9, 19, 3), strict=True)
)
_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
#: What an API server makes of anything larger.
LARGEST = 2**63 - 1
_LARGEST_EXPONENT = 40
_NANO = 10**9


class QuantityError(ValueError):
    """A text that is no quantity."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount, and how its suffix was written: ``binary``, ``decimal`` or ``exponent``."""

    value: Fraction
    style: str = "decimal"

    def in_thousandths(self) -> Quantity:
        """Rounded up, as an API server keeps the amount of a resource."""
        return Quantity(_fraction(math.ceil(self.value * 1000), 1000), self.style)

    def __str__(self) -> str:
        """The canonical form: what an API server gives back for it."""
        if self.value == 0:
            return "0"
        whole = self.value.denominator == 1
        if self.style == "binary" and whole and abs(self.value) >= 1024:
            return _binary_text(int(self.value))
        return _decimal_text(self.value, exponent=self.style == "exponent")


def parse(text: float | str) -> Quantity:
    """Read a quantity; a number stands for itself. Raises QuantityError."""
    if not isinstance(text, str):
        text = _plain(text)
    found = re.fullmatch(_FORM, text)
    if found is None:
        raise QuantityError(f"`{text}` is not a quantity such as 2, `500m` or `4Gi`")
    number, suffix = _fraction(found["number"]), found["suffix"]
    if suffix in _BINARY:
        value = _limited(number * _BINARY[suffix])
        return Quantity(value, "decimal" if 0 < value < 1 else "binary")
    if found["exponent"] is not None:
        return Quantity(_limited(number * _power(int(found["exponent"]))), "exponent")
    return Quantity(_limited(number * _fraction(10) ** _DECIMAL[suffix]))


def _fraction(number: int | str, denominator: int = 1) -> Fraction:
    from fractions import Fraction  # dear, and most pipelines have no quantity

    return Fraction(number) / denominator


def _plain(number: float) -> str:
    """A number without an exponent, all its digits kept."""
    from decimal import Decimal

    if not math.isfinite(number):
        raise QuantityError(f"{number} is not a quantity")
    return f"{Decimal(repr(number)):f}"


def _power(exponent: int) -> Fraction:
    bounded = max(-_LARGEST_EXPONENT, min(_LARGEST_EXPONENT, exponent))
    return _fraction(10) ** bounded


def _limited(value: Fraction) -> Fraction:
    """As the server keeps it: in whole billionths, rounded away from zero, and not too large."""
    scaled = abs(value) * _NANO
    size = _fraction(min(LARGEST * _NANO, math.ceil(scaled)), _NANO)
    return size if value >= 0 else -size


def _binary_text(value: int) -> str:
    exponent = 0
    while value % 1024 == 0 and exponent < len(_BINARY):
        value //= 1024
        exponent += 1
    return f"{value}{['', *_BINARY][exponent]}"


def _decimal_text(value: Fraction, *, exponent: bool) -> str:
    """With the largest power of a thousand that leaves a whole number."""
    power = -9
    number = int(value * _NANO)
    while number % 1000 == 0 and power < max(_SUFFIXES):
        number //= 1000
        power += 3
    if exponent:
        return f"{number}e{power}" if power else str(number)
    return f"{number}{_SUFFIXES[power]}"
