"""The digest of what a program means.

Left out are spans, documentation and what people call variables of loops. So a comment, an empty
line or an unused constant changes nothing in what targets write, and a docstring only its own text.
"""

from __future__ import annotations

from operator import attrgetter

from levada.hashing import sha256

from . import ir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

#: What stands elsewhere too: a step's key has its function, its code the container's part.
_LEFT_OUT: Final = ("span", "description", "source", "function", "container", "named")
_PLAIN: Final = frozenset((str, int, float, bool, type(None)))
#: Expressions that may have others in them.
_COMPOSITE: Final = frozenset(ir.Expr.__subclasses__()) - {
    *(ir.Const, ir.Param, ir.Output, ir.Use, ir.Item, ir.Error, ir.Catches, ir.FunctionName),
}


def digest_of(program: ir.Program) -> str:
    """Return ``sha256:…`` of the meaning of a program; its field ``source`` has no part in it."""
    parts: list[str] = []
    _Writer().write(program, parts)
    return f"sha256:{_hashed(parts)}"


def _hashed(parts: list[str]) -> str:
    return str(sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest())


class _Writer:
    """Writes values as text: classes by name, tuples in parentheses, all else as Python does."""

    def __init__(self) -> None:
        self._fields: dict[type, Callable[[Any], tuple[Any, ...]]] = {}
        #: By identity: an expression may be part of many others, and is read once.
        self._known: dict[int, str] = {}

    def write(self, value: Any, parts: list[str]) -> None:
        kind = type(value)
        if kind in _PLAIN:
            parts.append(repr(value))
        elif kind is tuple:
            parts.append("(")
            for item in value:
                self.write(item, parts)
            parts.append(")")
        elif kind in _COMPOSITE:
            known = self._known.get(id(value))
            if known is None:
                known = self._known[id(value)] = self._of_expression(value)
            parts.append(known)
        else:
            self._write_fields(value, parts)

    def _of_expression(self, value: Any) -> str:
        inner: list[str] = []
        self._write_fields(value, inner)
        return _hashed(inner)

    def _write_fields(self, value: Any, parts: list[str]) -> None:
        kind = type(value)
        if kind not in self._fields:
            names = [name for name in kind.__match_args__ if name not in _LEFT_OUT]
            # With a second name it is a tuple, however many fields there are.
            self._fields[kind] = attrgetter(*names, "__class__")
        parts.append(kind.__name__)
        for item in self._fields[kind](value)[:-1]:
            self.write(item, parts)
