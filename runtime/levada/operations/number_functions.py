"""Functions of ``math``, ``statistics``, ``decimal`` and ``fractions``."""

from __future__ import annotations

from levada.operations.builtin_functions import pay_for_digits, pay_for_whole
from levada.operations.errors import TooLargeError
from levada.operations.function import Function, argument
from levada.operations.operators import binary, bits_of, division_steps, pay_for_bits
from levada.operations.plain import each, is_iterable, kind_of
from levada.operations.text_formats import MAX_DIGITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, Unpack

    from levada.operations.budget import Budget
    from levada.operations.function import Arguments, FunctionOptions, Keywords, Price


def _pay_for_factorial(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    for number in arguments:
        if isinstance(number, int) and number > 1:
            pay_for_bits(number * number.bit_length(), budget)


def _pay_for_selection(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    """Pay for ``comb`` and ``perm``."""
    if len(arguments) < 2 or arguments[1] is None:
        _pay_for_factorial(budget, arguments[:1], _)
    elif all(isinstance(number, int) for number in arguments):
        total, chosen = int(arguments[0]), int(arguments[1])
        bits = max(0, min(chosen, total)) * total.bit_length()
        if 0 <= chosen <= total:
            budget.spend(division_steps(bits, bits) + bits // 1000, bits // 8)


def _pay_for_divisor(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    """Pay for ``gcd``, ``lcm`` and ``isqrt``."""
    bits = sum(number.bit_length() for number in arguments if isinstance(number, int))
    budget.spend(4 * division_steps(bits, bits), bits // 4)


def _prod(budget: Budget, /, *arguments: Any, **keywords: Any) -> object:
    import math

    if len(arguments) != 1 or not is_iterable(arguments[0]):
        return math.prod(*arguments, **keywords)
    total = math.prod((), **keywords)
    for item in each(arguments[0], budget):
        total = binary("*", total, item, budget)
    return total


def _pay_for_statistics(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    """Pay for exact sums: the numbers are made fractions, whose denominators multiply."""
    given = (*arguments, *keywords.values())
    numbers = [item for values in given if type(values) in (list, tuple) for item in values]
    budget.spend(20 + 4 * len(numbers), 300 * len(numbers))
    bits = 0
    for number in numbers:
        kind = kind_of(number)
        if kind == "Decimal" and number.is_finite():
            bits += bits_of(number) + 4 * abs(number.adjusted())
        elif kind in ("int", "Fraction"):
            bits += bits_of(number)
    exact = sum(kind_of(number) in ("Decimal", "Fraction") for number in numbers)
    budget.spend((1 + exact) * division_steps(bits, bits), bits)


def _pay_for_quantiles(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    _pay_for_statistics(budget, arguments, keywords)
    parts = argument(arguments, keywords, 1, "n")
    if isinstance(parts, int):
        budget.spend(max(0, parts), 64 * max(0, parts))


def _pay_for_decimal(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    bits = sum(bits_of(value) for value in arguments if kind_of(value) == "int")
    budget.spend(division_steps(bits, bits), bits)


def _pay_for_fraction(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    for value in (*arguments, *keywords.values()):
        kind = kind_of(value)
        if kind == "str":
            pay_for_digits(_exponent(value), budget)
        elif kind == "Decimal" and value.is_finite():
            pay_for_digits(abs(value.adjusted()) + value.__sizeof__(), budget)
        elif kind in ("int", "Fraction"):
            budget.spend(division_steps(bits_of(value), bits_of(value)))


def _exponent(text: str) -> int:
    """Return the size of the exponent in ``1e9``."""
    written = text.lower().partition("e")[2].strip().lstrip("+-").replace("_", "")
    if len(written) > 18:
        raise TooLargeError(f"a number with an exponent of more than {MAX_DIGITS} digits")
    return int(written) if written.isdecimal() else 0


def _math(names: str, **how: Unpack[FunctionOptions]) -> list[Function]:
    return [Function(f"math.{name}", f"math.{name}", **how) for name in names.split()]


def _statistics(names: str, price: Price) -> list[Function]:
    return [
        Function(f"statistics.{n}", f"statistics.{n}", price=price, first="data", iterates=0)
        for n in names.split()
    ]


TABLE: Final = (
    *_math(
        "acos acosh asin asinh atan atan2 atanh cbrt copysign cos cosh degrees erf erfc exp"
        " exp2 expm1 fabs fmod frexp gamma hypot isclose isfinite isinf isnan ldexp lgamma log"
        " log10 log1p log2 modf nextafter pow radians remainder sin sinh sqrt tan tanh ulp"
    ),
    *_math("ceil floor trunc", price=pay_for_whole),
    *_math("gcd lcm isqrt", price=_pay_for_divisor),
    *_math("comb perm", price=_pay_for_selection),
    *_math("factorial", price=_pay_for_factorial),
    *_math("dist fsum", iterates=0),
    *_math("prod", run=_prod),
    *_statistics(
        "correlation covariance fmean geometric_mean harmonic_mean mean median median_high"
        " median_low mode multimode pstdev pvariance stdev variance",
        _pay_for_statistics,
    ),
    *_statistics("quantiles", _pay_for_quantiles),
    Function("decimal.Decimal", "Decimal", price=_pay_for_decimal, first="value"),
    Function("decimal.Decimal.from_float", "Decimal.from_float", price=_pay_for_decimal),
    Function("fractions.Fraction", "Fraction", price=_pay_for_fraction),
    Function("fractions.Fraction.from_float", "Fraction.from_float", price=_pay_for_fraction),
    Function("fractions.Fraction.from_decimal", "Fraction.from_decimal", price=_pay_for_fraction),
)
