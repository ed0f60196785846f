"""Replaces the uses of named values in expressions."""

from __future__ import annotations

from ..slotted import replace
from .ir import Clause, Expr, Field, Use

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def substituted(expression: Expr, values: Mapping[str, Expr]) -> Expr:
    """Return an expression with these expressions in the place of uses of the named values."""
    found: Expr = _changed(expression, values)
    return found


def _changed(part: Any, values: Mapping[str, Expr]) -> Any:
    if isinstance(part, Use):
        return values.get(part.value, part)
    if isinstance(part, tuple):
        items = tuple([_changed(item, values) for item in part])
        return part if all(a is b for a, b in zip(items, part, strict=True)) else items
    if not isinstance(part, Expr | Field | Clause):
        return part
    changes = {}
    for name in type(part).__match_args__:  # type: ignore[union-attr]
        value = getattr(part, name)
        changed = _changed(value, values)
        if changed is not value:
            changes[name] = changed
    return replace(part, **changes) if changes else part  # type: ignore[type-var]
