"""The names that mean functions or constants in the text of expressions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_WORDS: Final = """
    Decimal Fraction Path PurePosixPath UUID abs all any ascii bin bool bytes catches chr
    complex date datetime dict divmod enumerate error failed flat float folded format from_json
    frozenset hex instance int isinstance itertools json len list math max member min oct ord os
    params pow raises range repr reversed round set sorted statistics str sum time timedelta
    timezone tuple zip
"""
#: First words of such names: no node and no definition may have one of them as its first word.
RESERVED: Final = frozenset(_WORDS.split())
