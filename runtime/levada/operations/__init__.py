"""What expressions compute with: Python's operators, functions and methods on plain values.

This is the only implementation: the runtime evaluates expressions with it, and the compiler
constants. Everything has Python's meaning and raises Python's exceptions. Everything draws from a
:class:`Budget` before it computes, so that no input takes more than about a second and 100 MB.
"""

from __future__ import annotations

from levada.operations.budget import Budget
from levada.operations.errors import (
    ExpressionError,
    NotPlainError,
    TooLargeError,
    UnorderedError,
    UnsupportedError,
)
from levada.operations.names import RESERVED
from levada.operations.operators import binary, compare, subscript, truth, unary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.operations.function import Function
    from levada.operations.functions import CONSTANTS, FUNCTIONS, QUALIFIED, call, constant, named
    from levada.operations.methods import ATTRIBUTES, METHODS, attribute, method
    from levada.operations.text_formats import formatted

__all__ = [
    "ATTRIBUTES",
    "CONSTANTS",
    "FUNCTIONS",
    "METHODS",
    "QUALIFIED",
    "RESERVED",
    "Budget",
    "ExpressionError",
    "Function",
    "NotPlainError",
    "TooLargeError",
    "UnorderedError",
    "UnsupportedError",
    "attribute",
    "binary",
    "call",
    "compare",
    "constant",
    "formatted",
    "method",
    "named",
    "subscript",
    "truth",
    "unary",
]
_LAZY = {
    **dict.fromkeys(
        ("CONSTANTS", "FUNCTIONS", "QUALIFIED", "call", "constant", "named"), "functions"
    ),
    **dict.fromkeys(("ATTRIBUTES", "METHODS", "attribute", "method"), "methods"),
    "Function": "function",
    "formatted": "text_formats",
}


def __getattr__(name: str) -> object:
    """Import the tables of functions and methods when they are asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(__import__(f"{__name__}.{_LAZY[name]}", fromlist=[name]), name)
    globals()[name] = found
    return found
