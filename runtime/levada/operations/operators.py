"""Operators on plain values: Python's own, each with a price that is paid before it computes."""

from __future__ import annotations

import operator

from levada.operations.plain import (
    ITERATOR,
    check_hashes,
    each,
    extent,
    items,
    kind_of,
    plain,
    refusal,
    text_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sized
    from typing import Any, Final

    from levada.operations.budget import Budget

    Price = Callable[[object, object, Budget], None]

#: The operators by the names of their classes in ``ast``.
BINARY_SYMBOLS: Final = {
    "Add": "+",
    "Sub": "-",
    "Mult": "*",
    "MatMult": "@",
    "Div": "/",
    "FloorDiv": "//",
    "Mod": "%",
    "Pow": "**",
    "BitAnd": "&",
    "BitOr": "|",
    "BitXor": "^",
    "LShift": "<<",
    "RShift": ">>",
}
UNARY_SYMBOLS: Final = {"Not": "not", "USub": "-", "UAdd": "+", "Invert": "~"}
COMPARE_SYMBOLS: Final = {
    "Eq": "==",
    "NotEq": "!=",
    "Lt": "<",
    "LtE": "<=",
    "Gt": ">",
    "GtE": ">=",
    "Is": "is",
    "IsNot": "is not",
    "In": "in",
    "NotIn": "not in",
}
_BINARY: Final[dict[str, Callable[[object, object], object]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "@": operator.matmul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
}
_UNARY: Final[dict[str, Callable[[Any], object]]] = {
    "-": operator.neg,
    "+": operator.pos,
    "~": operator.invert,
}
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SMALL: Final = frozenset((bool, float, complex, type(None)))
_WORD: Final = 1 << 64
_TEXTS: Final = ("str", "bytes")
_LISTS: Final = ("list", "tuple")
_VIEWS: Final = ("dict_keys", "dict_items")
_HASHED: Final = ("set", "frozenset", "dict", "dict_keys", "dict_items")
_NUMBERS: Final = ("bool", "int", "float", "complex", "Fraction", "Decimal", "scalar")


def binary(op: str, left: object, right: object, budget: Budget) -> Any:
    """Return ``left op right``. Raises what Python raises, TooLargeError and NotPlainError.

    >>> from levada.operations import Budget
    >>> binary("*", "ab", 2, Budget())
    'abab'
    """
    if not (_is_small(left) and _is_small(right)) or op in ("**", "<<"):
        if op == "|" and "function" in (kind_of(left), kind_of(right)):
            return (*_types_in(left), *_types_in(right))  # `int | None`, as `isinstance` takes it
        left, right = _without_iterators(left, right, budget)
        price = _PRICES.get(op)
        if price is not None:
            price(left, right, budget)
    return _BINARY[op](left, right)


def _types_in(value: Any) -> tuple[object, ...]:
    """Return the types of a union; what is not a type is refused."""
    if value is None:
        return (type(None),)
    types = value if type(value) is tuple else (value,)
    for each_type in types:
        if each_type is not type(None) and not (
            kind_of(each_type) == "function" and isinstance(each_type.target(), type)
        ):
            plain(each_type)
            raise TypeError("unsupported operand type(s) for |: a type and a value")
    return types


def _without_iterators(left: object, right: object, budget: Budget) -> tuple[object, object]:
    """Return the operands; views of dicts iterate over the other one."""
    kinds = (plain(left), plain(right))
    if kinds[0] in _VIEWS and kinds[1] in (ITERATOR, "range"):
        return left, items(right, budget)
    if kinds[1] in _VIEWS and kinds[0] in (ITERATOR, "range"):
        return items(left, budget), right
    return left, right


def unary(op: str, operand: Any, budget: Budget) -> object:
    """Return ``op operand``.

    >>> from levada.operations import Budget
    >>> unary("not", [], Budget())
    True
    """
    if op == "not":
        return not truth(operand)
    if plain(operand) == "int":
        budget.spend(0, operand.bit_length() // 8)
    return _UNARY[op](operand)


def compare(op: str, left: object, right: object, budget: Budget) -> object:
    """Return ``left op right``, of which ``is`` takes values of any type.

    >>> from levada.operations import Budget
    >>> compare("not in", 3, [1, 2], Budget())
    True
    """
    if op == "is":
        return left is right
    if op == "is not":
        return left is not right
    if op == "in":
        return _contains(right, left, budget)
    if op == "not in":
        return not _contains(right, left, budget)
    if not (_is_small(left) and _is_small(right)):
        _pay_for_comparing(left, right, budget)
    return _COMPARE[op](left, right)


def subscript(holder: Any, index: Any, budget: Budget) -> object:
    """Return ``holder[index]``; the index may be a slice.

    >>> from levada.operations import Budget
    >>> subscript([1, 2, 3], slice(1, None), Budget())
    [2, 3]
    """
    kind = plain(holder)
    if type(index) is slice:
        size = len(holder) if kind in _TEXTS or kind in _LISTS else 0
        budget.spend(size // 100, 8 * size if kind in _LISTS else 4 * size)
    elif type(index) not in (int, str):
        budget.spend(extent(budget, index).steps)
    return holder[index]


def _is_small(value: Any) -> bool:
    """Whether nothing that is computed with the value needs a price."""
    cls = type(value)
    return cls in _SMALL or (cls is int and -_WORD < value < _WORD)


def truth(value: object) -> bool:
    """Decide as ``if`` does.

    A value that is not plain is true if its class does not say otherwise; if it does, that is
    NotPlainError.
    """
    if kind_of(value) is not None:
        return bool(value)
    if hasattr(type(value), "__bool__") or hasattr(type(value), "__len__"):
        raise refusal(value)
    return True


def _pay_for_comparing(left: object, right: object, budget: Budget) -> None:
    measured = extent(budget, left, right)
    budget.spend(measured.steps)
    if measured.bits > 20_000 and "Fraction" in (kind_of(left), kind_of(right)):
        budget.spend(division_steps(measured.bits, measured.bits))


def _contains(holder: Any, value: Any, budget: Budget) -> bool:
    kind = plain(holder)
    if kind == ITERATOR:
        return any(
            item is value or compare("==", item, value, budget) for item in each(holder, budget)
        )
    if kind in ("set", "frozenset", "dict", "dict_keys"):
        budget.spend(extent(budget, value).steps)
    elif kind in _TEXTS and kind_of(value) == kind:
        budget.spend(search_steps(holder, value))
    elif kind == "range" and type(value) not in (int, bool):
        budget.spend(_length(holder) // 20)
    else:
        _pay_for_comparing(holder, value, budget)
    return value in holder


def _length(numbers: range) -> int:
    """Return the length of a range that may be too long for ``len``."""
    step = numbers.step
    return max(0, (numbers.stop - numbers.start + step - (1 if step > 0 else -1)) // step)


# ---------------------------------------------------------------------------- prices


def product_steps(bits: int, other: int) -> int:
    """What multiplying two integers costs: Python uses Karatsuba's method."""
    large, small = max(bits, other) // 30, min(bits, other) // 30
    return int(large * small**0.585) // 300 if large < 1 << 50 else large


def division_steps(bits: int, other: int) -> int:
    """What dividing an integer by another, or their greatest divisor, costs."""
    return (bits // 30) * (other // 30) // 300


def search_steps(text: Sized, part: Sized) -> int:
    """What looking for a part in a text costs at most."""
    return len(text) * min(len(part), 100) // 50_000


def bits_of(value: Any) -> int:
    """Return the bits of a number, with those of a fraction's denominator."""
    kind = kind_of(value)
    if kind == "int":
        return int(value.bit_length())
    if kind == "Fraction":
        return int(value.numerator.bit_length() + value.denominator.bit_length())
    return 8 * int(value.__sizeof__()) if kind == "Decimal" else 64


def _pay_for_sum(left: Any, right: Any, budget: Budget) -> None:
    kind = kind_of(left)
    if kind in _NUMBERS:
        _pay_for_joining(left, right, budget)
    elif kind in _TEXTS and kind_of(right) == kind:
        budget.spend((len(left) + len(right)) // 2000, text_bytes(left) + text_bytes(right))
    elif kind in _LISTS and kind_of(right) == kind:
        size = len(left) + len(right)
        budget.spend(size // 100, 8 * size)


def _pay_for_joining(left: object, right: object, budget: Budget) -> None:
    """Pay for a number, a set or a dict that is no larger than both operands together."""
    if kind_of(left) not in _NUMBERS:
        _pay_for_sets(left, right, budget)
        return
    bits, other = bits_of(left), bits_of(right)
    budget.spend((bits + other) // 20_000, (bits + other) // 8)
    _pay_for_reducing(left, right, budget)


def _pay_for_reducing(left: object, right: object, budget: Budget) -> None:
    """Pay for the greatest common divisor of a fraction, and for an integer made a Decimal."""
    kinds = (kind_of(left), kind_of(right))
    bits, other = bits_of(left), bits_of(right)
    budget.spend(5)
    if "Fraction" in kinds:
        budget.spend(5 + 4 * division_steps(bits + other, bits + other))
    elif "Decimal" in kinds:
        budget.spend(division_steps(bits, bits) + division_steps(other, other))


def _pay_for_sets(left: Any, right: Any, budget: Budget) -> None:
    sized = [value for value in (left, right) if kind_of(value) in _HASHED]
    measured = extent(budget, *sized)
    count = sum(map(len, sized))
    budget.spend(measured.steps + count // 10, 100 * count)
    if len(sized) > 1:
        check_hashes([*left, *right], count, budget)


def _pay_for_product(left: object, right: object, budget: Budget) -> None:
    if kind_of(left) in _NUMBERS and kind_of(right) in _NUMBERS:
        bits, other = bits_of(left), bits_of(right)
        budget.spend(product_steps(bits, other), (bits + other) // 8)
        _pay_for_reducing(left, right, budget)
    else:
        _pay_for_repeating(left, right, budget)
        _pay_for_repeating(right, left, budget)


def _pay_for_repeating(value: Any, times: object, budget: Budget) -> None:
    kind = kind_of(value)
    if (kind in _TEXTS or kind in _LISTS) and hasattr(times, "__index__"):
        size = text_bytes(value) if kind in _TEXTS else 8 * len(value)
        grown = size * max(0, operator.index(times))
        budget.spend(grown // 10_000, grown)


def pay_for_division(left: object, right: object, budget: Budget) -> None:
    """Pay for ``left / right``, ``//`` or ``%``."""
    if kind_of(left) in _NUMBERS and kind_of(right) in _NUMBERS:
        bits, other = bits_of(left), bits_of(right)
        budget.spend(division_steps(bits, other), (bits + other) // 8)
        _pay_for_reducing(left, right, budget)


def _pay_for_remainder(left: object, right: object, budget: Budget) -> None:
    if kind_of(left) in _TEXTS:
        from levada.operations.text_formats import pay_for_percent

        pay_for_percent(left, right, budget)
    else:
        pay_for_division(left, right, budget)


def pay_for_power(left: object, right: object, budget: Budget) -> None:
    """Pay for ``left ** right``."""
    exponent = _whole(right)
    bits = bits_of(left)
    if kind_of(left) not in ("int", "bool", "Fraction") or exponent is None:
        budget.spend(division_steps(bits, bits))
    elif exponent < 0 and kind_of(left) != "Fraction":
        budget.spend(bits // 20_000)  # it is a float
    elif left not in (0, 1, -1):
        pay_for_bits(bits * abs(exponent), budget)


def pay_for_bits(bits: int, budget: Budget) -> None:
    """Pay for an integer of so many bits that is made by multiplying."""
    budget.spend(0, bits // 8)
    budget.spend(2 * product_steps(bits, bits))


def _whole(value: Any) -> int | None:
    """Return an exponent as an integer if it is one."""
    kind = kind_of(value)
    if kind in ("int", "bool"):
        return int(value)
    if kind == "Fraction" and value.denominator == 1:
        return int(value.numerator)
    return None


def _pay_for_shift(left: object, right: object, budget: Budget) -> None:
    if isinstance(left, int) and isinstance(right, int) and left:
        budget.spend(0, (left.bit_length() + max(0, right)) // 8)


_PRICES: Final[dict[str, Price]] = {
    "+": _pay_for_sum,
    "-": _pay_for_joining,
    "*": _pay_for_product,
    "/": pay_for_division,
    "//": pay_for_division,
    "%": _pay_for_remainder,
    "**": pay_for_power,
    "&": _pay_for_joining,
    "|": _pay_for_joining,
    "^": _pay_for_joining,
    "<<": _pay_for_shift,
}
