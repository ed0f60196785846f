"""Previews of models: their class and parameters, and the shapes of what they learned."""

from __future__ import annotations

from levada.previews.cells import cell, shorten
from levada.trees.classes import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from levada.json_types import Json
    from levada.previews import Preview

_MOST = 200
#: Items up to which something that was learned is shown itself, and not only its shape.
_SMALL = 20


def show_estimator(value: Any) -> Preview:
    """Show an estimator of scikit-learn: parameters, and fitted attributes by value or shape."""
    preview: Preview = {"kind": "model", "class": type_name(type(value))}
    if hasattr(value, "get_params"):
        given = value.get_params(deep=True)
        preview["parameters"] = {name: _parameter(given[name]) for name in sorted(given)[:_MOST]}
    fitted = [name for name in vars(value) if name.endswith("_") and not name.startswith("_")]
    preview["fitted"] = {name: _learned(getattr(value, name)) for name in sorted(fitted)[:_MOST]}
    return preview


def show_tensors(tensors: Mapping[str, Any]) -> Preview:
    """Show the names, types and shapes of a dict of tensors."""
    shown = {shorten(name): _shape(tensors[name]) for name in list(tensors)[:_MOST]}
    count = sum(int(each.numel()) for each in tensors.values())
    return {
        "kind": "model",
        "class": "state_dict",
        "tensors": len(tensors),
        "weights": count,
        "parameters": shown,
        "truncated": len(tensors) > _MOST,
    }


def _parameter(value: object) -> Json:
    is_plain = value is None or type(value) in (bool, int, float, str)
    return cell(value) if is_plain else shorten(repr(value))


def _learned(value: Any) -> Json:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        small = getattr(value, "size", _SMALL + 1)
        if isinstance(small, int) and small <= _SMALL and hasattr(value, "tolist"):
            return shorten(str(value.tolist()))
        return _shape(value)
    if isinstance(value, (list, tuple)) and len(value) > _SMALL:
        return f"{type(value).__name__} of {len(value)}"
    if type(value) in (bool, int, float, str):
        return cell(value)
    return shorten(f"{type_name(type(value))}")


def _shape(value: Any) -> str:
    dtype = str(value.dtype).removeprefix("torch.")
    return f"{dtype}[{', '.join(str(size) for size in value.shape)}]"
