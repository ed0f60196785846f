"""The builtin functions of Python that expressions have, and those of ``itertools``."""

from __future__ import annotations

import itertools

from levada.operations.errors import TooLargeError, UnsupportedError
from levada.operations.function import Function, argument
from levada.operations.operators import (
    binary,
    bits_of,
    division_steps,
    pay_for_bits,
    pay_for_division,
    pay_for_power,
    truth,
)
from levada.operations.plain import (
    ITERATOR,
    KINDS,
    check_hashes,
    each,
    extent,
    flat_source,
    is_iterable,
    items,
    kind_of,
    loaded,
    opened,
    plain,
)
from levada.operations.text_formats import MAX_DIGITS, formatted, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Final, Unpack

    from levada.operations.budget import Budget
    from levada.operations.function import Arguments, FunctionOptions, Keywords

#: The encodings of texts; others are slow, or import modules by the name that is given.
ENCODINGS: Final = frozenset(
    (
        *("utf8", "utf8sig", "utf16", "utf16le", "utf16be", "utf32", "utf32le", "utf32be"),
        *("ascii", "usascii", "latin1", "iso88591", "iso885915"),
        *("cp1250", "cp1251", "cp1252", "cp437"),
    )
)
_BITS_A_DIGIT: Final = 3.33


# ---------------------------------------------------------------------------- numbers and texts


def _len(budget: Budget, /, *arguments: object, **keywords: object) -> int:
    return len(*_opened(arguments, budget), **keywords)


def _opened(arguments: Arguments, budget: Budget) -> list[Any]:
    """Return plain arguments with one level of each loaded."""
    found = [opened(item, budget) for item in arguments]
    for item in found:
        plain(item)
    return found


def _bool(budget: Budget, /, *arguments: object, **keywords: object) -> bool:
    if len(arguments) != 1 or keywords:
        return bool(*arguments, **keywords)
    return truth(opened(arguments[0], budget))


def _str(budget: Budget, /, *arguments: object, **keywords: object) -> str:
    if len(arguments) == 1 and not keywords:
        return text_of(arguments[0], "s", budget)
    if arguments and kind_of(arguments[0]) == "bytes":
        pay_for_encoding(budget, arguments, keywords)
    return str(*arguments, **keywords)


def _repr(budget: Budget, /, *arguments: object, **keywords: object) -> str:
    if len(arguments) == 1 and not keywords:
        return text_of(arguments[0], "r", budget)
    return repr(*arguments, **keywords)


def _ascii(budget: Budget, /, *arguments: object, **keywords: object) -> str:
    if len(arguments) == 1 and not keywords:
        return text_of(arguments[0], "a", budget)
    return ascii(*arguments, **keywords)


def _format(budget: Budget, /, *arguments: Any, **keywords: Any) -> str:
    if keywords or not 0 < len(arguments) <= 2 or kind_of(arguments[-1]) != "str":
        return format(*arguments, **keywords)  # raises Python's own error, or takes any one value
    return formatted(arguments[0], "", arguments[1] if len(arguments) > 1 else "", budget)


def pay_for_encoding(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    """Pay for ``text.encode(…)`` or ``data.decode(…)``, or for the constructors that do so."""
    if not 1 <= len(arguments) <= 3 or not keywords.keys() <= {"encoding", "errors"}:
        return  # Python's TypeError
    text, *given = arguments
    encoding = given[0] if given else keywords.get("encoding", "utf-8")
    if isinstance(encoding, str) and text:
        plain_name = "".join(filter(str.isalnum, encoding)).lower()
        if plain_name not in ENCODINGS:
            "".encode(encoding)  # raises Python's own error if there is no such encoding
            raise UnsupportedError(f"the encoding {encoding!r} is not available in a pipeline")
    # `namereplace` writes up to 90 characters for one.
    size = (100 if len(given) > 1 or "errors" in keywords else 4) * extent(budget, text).text
    budget.spend(size // 1000, size)


def _pay_for_int(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    for value in arguments[:1]:
        if kind_of(value) in ("str", "bytes") and len(value) > MAX_DIGITS:
            raise TooLargeError(f"a text of more than {MAX_DIGITS} digits is too long for a number")
    pay_for_whole(budget, arguments, _)


def pay_for_whole(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    """Pay for the integer that a Decimal is rounded to."""
    for value in arguments[:1]:
        if kind_of(value) == "Decimal":
            pay_for_digits(max(0, value.adjusted()), budget)


def pay_for_digits(digits: int, budget: Budget) -> None:
    """Pay for an integer of so many decimal digits that is made of them."""
    bits = int(digits * _BITS_A_DIGIT)
    pay_for_bits(bits, budget)
    budget.spend(division_steps(bits, bits))


def _pay_for_round(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    number = argument(arguments, keywords, 0, "number")
    digits = argument(arguments, keywords, 1, "ndigits")
    if digits is None:
        pay_for_whole(budget, (number,), {})
    elif isinstance(digits, int) and kind_of(number) in ("int", "Fraction"):
        pay_for_digits(abs(digits) if digits < 0 or kind_of(number) == "Fraction" else 0, budget)
        budget.spend(division_steps(bits_of(number), bits_of(number)))


def _pay_for_pow(budget: Budget, arguments: Arguments, keywords: Keywords) -> None:
    base = argument(arguments, keywords, 0, "base")
    exponent = argument(arguments, keywords, 1, "exp")
    modulus = argument(arguments, keywords, 2, "mod")
    if modulus is None:
        pay_for_power(base, exponent, budget)
    elif all(isinstance(number, int) for number in (base, exponent, modulus)):
        size = max(base.bit_length(), modulus.bit_length())
        budget.spend((exponent.bit_length() + 1) * (1 + 2 * division_steps(size, size)))


def _pay_for_divmod(budget: Budget, arguments: Arguments, _: Keywords) -> None:
    if len(arguments) == 2:
        pay_for_division(arguments[0], arguments[1], budget)


def _isinstance(budget: Budget, /, *arguments: Any, **keywords: Any) -> bool:
    if len(arguments) != 2 or keywords:
        return isinstance(*arguments, **keywords)
    value, types = arguments
    return isinstance(opened(value, budget), _classes(types))


def _classes(types: object) -> Any:
    if type(types) is tuple:
        return tuple(map(_classes, types))
    return types.target() if isinstance(types, Function) else types


# ---------------------------------------------------------------------------- iterating over items


def _lazily(value: object, budget: Budget) -> Any:
    """Return what pays for each item as it is taken; Python refuses a value that has none."""
    value = flat_source(opened(value, budget), budget)
    return each(value, budget) if is_iterable(value) else value


def _all(budget: Budget, /, *arguments: object, **keywords: object) -> bool:
    return all(*_truths(arguments, budget), **keywords)


def _any(budget: Budget, /, *arguments: object, **keywords: object) -> bool:
    return any(*_truths(arguments, budget), **keywords)


def _truths(arguments: Arguments, budget: Budget) -> Iterator[Any]:
    for item in arguments:
        yield map(truth, each(item, budget)) if is_iterable(item) else item


def _enumerate(budget: Budget, /, *arguments: object, **keywords: Any) -> object:
    items = [_lazily(item, budget) for item in arguments[:1]]
    return enumerate(*items, *arguments[1:], **keywords)


def _zip(budget: Budget, /, *arguments: object, **keywords: Any) -> Any:
    budget.spend(len(arguments), 100 * len(arguments))
    return zip(*(_lazily(item, budget) for item in arguments), **keywords)  # noqa: B905


def _reversed(budget: Budget, /, *arguments: object, **keywords: object) -> object:
    return reversed(*_opened(arguments, budget), **keywords)


def _listed(value: object, budget: Budget) -> Any:
    """Return the items of a value; Python refuses a value that has none."""
    value = opened(value, budget)
    return items(value, budget) if is_iterable(value) else value


def _list(budget: Budget, /, *arguments: Any, **keywords: object) -> list[object]:
    return list(*(_listed(item, budget) for item in arguments), **keywords)


def _tuple(budget: Budget, /, *arguments: object, **keywords: object) -> tuple[object, ...]:
    return tuple(*(_listed(item, budget) for item in arguments), **keywords)


def _set(budget: Budget, /, *arguments: object, **keywords: object) -> set[object]:
    return set(*_hashable(arguments, budget), **keywords)


def _frozenset(budget: Budget, /, *arguments: object, **keywords: object) -> frozenset[object]:
    return frozenset(*_hashable(arguments, budget), **keywords)


def _hashable(arguments: Arguments, budget: Budget) -> Iterator[Any]:
    for item in arguments:
        found = _listed(item, budget)
        if found is not item:
            measured = extent(budget, found)
            budget.spend(measured.steps, 80 * len(found))
            check_hashes(found, len(found), budget)
        yield found


def _dict(budget: Budget, /, *arguments: Any, **keywords: object) -> dict[object, object]:
    found: list[Any] = []
    for item in _opened(arguments, budget):
        if kind_of(item) == "dict":
            budget.spend(len(item) // 20, 100 * len(item))
            check_hashes(item, len(item), budget)
            found.append(item)
        elif is_iterable(item):
            pairs = [_listed(pair, budget) for pair in items(item, budget)]
            for pair in pairs:
                if type(pair) is list and pair:
                    pair[0] = loaded(pair[0], budget)
            keys = [pair[0] for pair in pairs if type(pair) is list and pair]
            budget.spend(extent(budget, keys).steps + len(keys) // 20, 100 * len(keys))
            check_hashes(keys, len(keys), budget)
            found.append(pairs)
        else:
            found.append(item)
    return dict(*found, **keywords)


def _from_keys(budget: Budget, /, *arguments: object, **keywords: object) -> dict[object, object]:
    return dict.fromkeys(*_hashable(arguments[:1], budget), *arguments[1:], **keywords)


def _bytes(budget: Budget, /, *arguments: object, **keywords: object) -> bytes:
    if arguments and isinstance(arguments[0], str):
        pay_for_encoding(budget, arguments, keywords)
    elif arguments and isinstance(arguments[0], int):
        budget.spend(0, max(0, arguments[0]))
    elif arguments and kind_of(arguments[0]) != "bytes":
        return bytes(_listed(arguments[0], budget), *arguments[1:], **keywords)
    return bytes(*arguments, **keywords)


def _sum(budget: Budget, /, *arguments: Any, **keywords: Any) -> object:
    if not arguments or not is_iterable(arguments[0]):
        return sum(*arguments, **keywords)
    found = items(arguments[0], budget)
    start = [*arguments[1:], *keywords.values()]
    if {kind_of(item) for item in (*found, *start)} <= {"int", "float", "bool", "complex"}:
        measured = extent(budget, found, *start)
        budget.spend(2 * measured.steps, measured.bits // 4)
        return sum(found, *arguments[1:], **keywords)
    total = sum([], *arguments[1:], **keywords)
    for item in found:
        budget.spend(1)
        total = binary("+", total, item, budget)
    return total


def _max(budget: Budget, /, *arguments: object, **keywords: Any) -> object:
    return max(*_ordered(arguments, keywords, budget), **keywords)


def _min(budget: Budget, /, *arguments: object, **keywords: Any) -> object:
    return min(*_ordered(arguments, keywords, budget), **keywords)


def _ordered(arguments: Arguments, keywords: dict[str, object], budget: Budget) -> Sequence[object]:
    """Prepare the arguments of ``min`` and ``max``: what is compared has been paid for."""
    whole = _gone_over(arguments[0], keywords, budget) if len(arguments) == 1 else None
    single = len(arguments) == 1 and is_iterable(whole)
    if single:
        found = items(whole, budget)
    elif isinstance(keywords.get("key"), Function):
        found = [whole] if len(arguments) == 1 else list(arguments)
    else:
        found = [loaded(argument, budget) for argument in arguments]
    _pay_for_order(found, keywords, 2, budget)
    return (found,) if single else found


def _sorted(budget: Budget, /, *arguments: object, **keywords: Any) -> list[object]:
    if "reverse" in keywords:
        keywords["reverse"] = loaded(keywords["reverse"], budget)
    first = [_gone_over(argument, keywords, budget) for argument in arguments[:1]]
    if not first or not is_iterable(first[0]):
        return sorted(*first, *arguments[1:], **keywords)
    found = items(first[0], budget)
    budget.spend(0, 16 * len(found))
    _pay_for_order(found, keywords, len(found).bit_length(), budget)
    return sorted(found, *arguments[1:], **keywords)


def _gone_over(value: object, keywords: Keywords, budget: Budget) -> Any:
    """Return what is put in order; with a ``key`` its items need not be plain, or loaded."""
    has_key = isinstance(keywords.get("key"), Function)
    return opened(value, budget) if has_key else loaded(value, budget)


def _pay_for_order(
    found: Sequence[object], keywords: dict[str, object], rounds: int, budget: Budget
) -> None:
    """Pay for comparing each item (or what ``key`` gives for it) so many times."""
    budget.spend(len(found) * rounds // 10)
    key = keywords.get("key")
    if not isinstance(key, Function):
        budget.spend(extent(budget, found).steps * rounds)
        return

    def compared(item: object) -> object:
        value = key.call([item], {}, budget)
        budget.spend(extent(budget, value).steps * rounds)
        return value

    keywords["key"] = compared


# ---------------------------------------------------------------------------- itertools


def _chain(budget: Budget, /, *arguments: object, **keywords: object) -> object:
    return itertools.chain(*(_lazily(item, budget) for item in arguments), **keywords)


def _chained(budget: Budget, /, *arguments: Any, **keywords: object) -> object:
    if len(arguments) != 1 or not is_iterable(arguments[0]):
        return itertools.chain.from_iterable(*arguments, **keywords)
    inner = (_lazily(item, budget) for item in each(arguments[0], budget))
    return itertools.chain.from_iterable(inner, **keywords)


def _pairwise(budget: Budget, /, *arguments: object, **keywords: object) -> object:
    return itertools.pairwise(*(_lazily(item, budget) for item in arguments), **keywords)


def _product(budget: Budget, /, *arguments: object, **keywords: object) -> object:
    budget.spend(len(arguments), 100 * len(arguments))
    pools = [_listed(item, budget) for item in arguments]
    repeat = keywords.get("repeat", 1)
    if isinstance(repeat, int) and all(type(pool) is list for pool in pools):
        width = max(0, repeat) * len(pools)
        budget.spend(width // 10, 8 * width)
        _pay_for_results((len(pool) for _ in range(repeat) for pool in pools), width, budget)
    return itertools.product(*pools, **keywords)


def _pay_for_results(factors: Iterable[int], width: int, budget: Budget) -> None:
    """Pay for as many tuples of ``width`` items as the factors give when multiplied."""
    number = 1
    size = 56 + 8 * width
    for factor in factors:
        number *= factor
        if number == 0 or number * size > budget.bytes:
            break
    budget.spend(number, number * size)


def _combinations(budget: Budget, /, *arguments: Any, **keywords: Any) -> Any:
    given, length = _selection(arguments, keywords, budget)
    if length is not None:
        size = len(given[0])
        short = min(length, size - length)
        if short >= 0:
            _pay_for_ratio(range(size, size - short, -1), length, budget)
    return itertools.combinations(*given, **keywords)


def _pay_for_ratio(factors: range, width: int, budget: Budget) -> None:
    """Pay for ``size`` over ``width`` results."""
    number = 1
    for divisor, factor in enumerate(factors, 1):
        number = number * factor // divisor
        if number * (56 + 8 * width) > budget.bytes:
            break
    budget.spend(number, number * (56 + 8 * width))


def _permutations(budget: Budget, /, *arguments: object, **keywords: Any) -> object:
    given, length = _selection(arguments, keywords, budget)
    if len(given) == 1 and "r" not in keywords and type(given[0]) is list:
        length = len(given[0])
    if length is not None and 0 <= length <= len(given[0]):
        size = len(given[0])
        _pay_for_results(range(size, size - length, -1), length, budget)
    return itertools.permutations(*given, **keywords)


def _selection(
    arguments: Arguments, keywords: Keywords, budget: Budget
) -> tuple[list[Any], int | None]:
    """Return the arguments with the pool as a list, and how many items each result has."""
    pools = [_listed(item, budget) for item in arguments[:1]]
    length = arguments[1] if len(arguments) > 1 else keywords.get("r")
    is_known = isinstance(length, int) and len(pools) == 1 and type(pools[0]) is list
    return [*pools, *arguments[1:]], length if is_known else None


def _accumulate(budget: Budget, /, *arguments: Any, **keywords: Any) -> object:
    if not arguments:
        return itertools.accumulate(**keywords)
    function = arguments[1] if len(arguments) > 1 else keywords.get("func")
    rest = {name: value for name, value in keywords.items() if name != "func"}
    if "initial" in rest:
        rest["initial"] = flat_source(rest["initial"], budget)
    first = [_lazily(item, budget) for item in arguments[:1]]

    def step(total: object, item: object) -> object:
        if isinstance(function, Function):
            return function.call([total, item], {}, budget)
        return binary("+", total, item, budget) if function is None else function(total, item)

    made: Any = itertools.accumulate
    return made(*first, step, *arguments[2:], **rest)


def _repeat(budget: Budget, /, *arguments: object, **keywords: object) -> object:
    given = [flat_source(item, budget) for item in arguments]
    return itertools.repeat(*given, **keywords)


def _function(name: str, **how: Unpack[FunctionOptions]) -> Function:
    return Function(f"builtins.{name}", name, **how)


def _iterator(name: str, **how: Unpack[FunctionOptions]) -> Function:
    options: FunctionOptions = {"passes_on": True, **how}
    return Function(f"itertools.{name}", f"itertools.{name}", **options)


_TABLE: Final = (
    *(_function(name) for name in ("abs", "chr", "ord", "hex", "oct", "bin", "float", "complex")),
    _function("range"),
    _function("int", price=_pay_for_int),
    _function("round", price=_pay_for_round, first="number"),
    _function("pow", price=_pay_for_pow),
    _function("divmod", price=_pay_for_divmod),
    _function("len", run=_len, passes_on=True),
    _function("bool", run=_bool, passes_on=True),
    _function("str", run=_str, first="object"),
    _function("repr", run=_repr),
    _function("format", run=_format),
    _function("ascii", run=_ascii),
    _function("isinstance", run=_isinstance, passes_on=True),
    _function("all", run=_all),
    _function("any", run=_any),
    _function("enumerate", run=_enumerate, first="iterable", passes_on=True),
    _function("zip", run=_zip, passes_on=True),
    _function("reversed", run=_reversed, passes_on=True),
    _function("list", run=_list, passes_on=True),
    _function("tuple", run=_tuple, passes_on=True),
    _function("set", run=_set),
    _function("frozenset", run=_frozenset),
    _function("dict", run=_dict, passes_on=True),
    _function("bytes", run=_bytes, first="source"),
    _function("sum", run=_sum),
    _function("min", run=_min, passes_on=True),
    _function("max", run=_max, passes_on=True),
    _function("sorted", run=_sorted, passes_on=True),
    _function("dict.fromkeys", run=_from_keys),
    *(_function(name) for name in ("str.maketrans", "bytes.fromhex", "float.fromhex")),
    _function("int.from_bytes", first="bytes", iterates=0),
    _iterator("chain", run=_chain),
    _iterator("chain.from_iterable", run=_chained),
    _iterator("pairwise", run=_pairwise),
    _iterator("product", run=_product),
    _iterator("combinations", run=_combinations, first="iterable"),
    _iterator("permutations", run=_permutations, first="iterable"),
    _iterator("accumulate", run=_accumulate, first="iterable", passes_on=False),
    _iterator("repeat", run=_repeat, first="object"),
)
for _made in (
    itertools.accumulate,
    itertools.chain,
    itertools.combinations,
    itertools.pairwise,
    itertools.permutations,
    itertools.product,
    itertools.repeat,
):
    KINDS[_made] = ITERATOR
BUILTINS: Final[dict[str, Function]] = {function.name: function for function in _TABLE}
