"""Texts of values: ``str`` and ``repr``, f-strings, ``str.format`` and ``%``."""

from __future__ import annotations

from levada.operations.errors import TooLargeError, UnorderedError
from levada.operations.plain import extent, kind_of, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Final

    from levada.operations.budget import Budget

#: Decimal digits of an integer that is made a text, or made of one: more takes quadratic time.
MAX_DIGITS: Final = 4300
_BITS_A_DIGIT = 3.32
_WORD = 10**18
_BINARY_FORMATS: Final = ("b", "o", "x", "X")
_CONVERSIONS: Final[dict[str, Callable[[object], str]]] = {"s": str, "r": repr, "a": ascii}


def formatted(value: object, conversion: str, spec: str, budget: Budget) -> str:
    """Return one field of an f-string; ``conversion`` is ``s``, ``r``, ``a`` or empty.

    >>> from levada.operations import Budget
    >>> formatted(0.5, "", ".2f", Budget())
    '0.50'
    """
    if conversion:
        value = text_of(value, conversion, budget)
    elif type(value) is int and spec[-1:] in _BINARY_FORMATS:
        budget.spend(value.bit_length() // 2000, value.bit_length())
    elif type(value) is not str:
        pay_for_text(value, budget)
    _pay_for_spec(value, spec, budget)
    return format(value, spec)


def text_of(value: object, conversion: str, budget: Budget) -> str:
    """Return the ``str`` of a value, its ``repr`` or its ``ascii``: ``s``, ``r`` or ``a``.

    >>> from levada.operations import Budget
    >>> text_of("a", "r", Budget())
    "'a'"
    """
    if type(value) is str and conversion == "s":
        return value
    pay_for_text(value, budget)
    return _CONVERSIONS[conversion](value)


def pay_for_text(value: object, budget: Budget) -> int:
    """Pay for ``str``, ``repr`` or ``ascii`` of a value; returns how many bytes that may take.

    Raises UnorderedError for what has another text in each process: a set, an iterator.
    """
    measured = extent(budget, value)
    if measured.has_set:
        raise UnorderedError(
            "the text of a set has no certain order: write `sorted(…)` around the set"
        )
    if measured.has_iterator:
        raise UnorderedError("the text of an iterator is its address: write `list(…)` around it")
    check_digits(measured.bits, value)
    # The longest escape in a `repr`, `\U0001f4a5`, has ten characters.
    size = 60 * measured.count + 10 * measured.text + measured.bits // 3
    budget.spend(size // 1000, size)
    return size


def check_digits(bits: int, value: Any) -> None:
    """Refuse an integer of too many decimal digits, of a value whose integers have ``bits``."""
    if bits <= MAX_DIGITS * _BITS_A_DIGIT:
        return
    stack = [value]
    while stack:
        item = stack.pop()
        kind = kind_of(item)
        if kind in ("int", "Fraction"):
            longest = max(abs(item.numerator), item.denominator)
            if longest.bit_length() > MAX_DIGITS * _BITS_A_DIGIT:
                raise TooLargeError(f"an integer of more than {MAX_DIGITS} digits has no text here")
        elif kind == "dict":
            stack += item
            stack += item.values()
        elif kind in ("list", "tuple", "dict_keys", "dict_values", "dict_items"):
            stack += item


def _pay_for_spec(value: Any, spec: str, budget: Budget) -> None:
    kind = kind_of(value)
    if kind in ("date", "datetime", "time"):
        budget.spend(len(spec), 256 * len(spec))  # as far as Python lets `strftime` go
        return
    width = _width(spec)
    if kind == "Decimal" and spec:
        width += abs(value.adjusted()) + value.__sizeof__()
    budget.spend(width // 1000, 4 * width)


def _width(spec: str) -> int:
    """Return the sum of the numbers in a format: its widths and precisions."""
    total = number = 0
    for character in f"{spec} ":
        if character.isdecimal():
            number = min(number * 10 + int(character), _WORD)
        else:
            # Python refuses what is larger than a machine's word before it makes anything.
            total += number if number < _WORD else 0
            number = 0
    return total


# ---------------------------------------------------------------------------- %


def pay_for_percent(template: Any, arguments: Any, budget: Budget) -> None:
    """Pay for ``template % arguments``."""
    text = template if isinstance(template, str) else template.decode("latin-1")
    size = pay_for_text(arguments, budget)
    fields = text.count("%")
    width = _width(text)
    given = arguments if kind_of(arguments) == "tuple" else (arguments,)
    if "*" in text:
        width += sum(abs(number) for number in given if isinstance(number, int))
    if kind_of(arguments) == "dict":
        size *= max(1, fields)  # each field may be the same item
    for number in given:
        if kind_of(number) == "Decimal":
            width += abs(number.adjusted())
    budget.spend((width + size) // 500, 4 * (len(text) + width) + size)


# ---------------------------------------------------------------------------- str.format


def format_text(
    template: str, arguments: Sequence[object], keywords: Mapping[str, object], budget: Budget
) -> str:
    """Return ``template.format(*arguments, **keywords)``.

    Python's own would read any attribute: ``"{0.__class__}"``. Here it is those of expressions.
    """
    return _Formatting(arguments, keywords, budget).text(template, depth=2)


class _Formatting:
    """One call of ``str.format``: fields are numbered by it, or by the template, never by both."""

    def __init__(
        self, arguments: Sequence[object], keywords: Mapping[str, object], budget: Budget
    ) -> None:
        self._arguments = arguments
        self._keywords = keywords
        self._budget = budget
        self._next: int | None = None
        self._is_numbered = False

    def text(self, template: str, depth: int) -> str:
        if depth == 0:
            raise ValueError("Max string recursion exceeded")
        found = []
        for literal, name, spec, conversion in _fields(template):
            self._budget.spend(5, 8 + text_bytes(literal))
            found.append(literal)
            if name is not None:
                value = self._value(name)
                form = self.text(spec, depth - 1) if spec and "{" in spec else spec or ""
                found.append(self._field(value, conversion, form))
        return "".join(found)

    def _field(self, value: object, conversion: str | None, spec: str) -> str:
        if conversion and conversion not in _CONVERSIONS:
            return f"{{!{conversion}}}".format(0)  # raises Python's own error
        made = formatted(value, conversion or "", spec, self._budget)
        self._budget.spend(0, text_bytes(made))
        return made

    def _value(self, name: str) -> object:
        from _string import formatter_field_name_split  # type: ignore[import-not-found]

        from levada.operations.methods import attribute
        from levada.operations.operators import subscript

        first, rest = formatter_field_name_split(name)
        value = self._argument(first)
        for is_attribute, key in rest:
            value = attribute(value, key) if is_attribute else subscript(value, key, self._budget)
        return value

    def _argument(self, first: str | int) -> object:
        if isinstance(first, str) and first:
            return self._keywords[first]
        index = self._number(first)
        if index >= len(self._arguments):
            f"{{{index}}}".format()  # raises Python's own error
        return self._arguments[index]

    def _number(self, first: str | int) -> int:
        is_numbered = first != ""
        if self._next is not None and is_numbered != self._is_numbered:
            ("{0}{}" if self._is_numbered else "{}{0}").format(1)  # raises Python's own error
        self._is_numbered = is_numbered
        self._next = 0 if self._next is None else self._next + 1
        return int(first) if is_numbered else self._next


def _fields(template: str) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    """Parse a template as ``string.Formatter`` does, without importing ``string``."""
    from _string import formatter_parser

    found: Iterator[tuple[str, str | None, str | None, str | None]] = formatter_parser(template)
    return found
