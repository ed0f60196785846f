"""Previews of arrays of numbers: shape, range and histogram, small ones whole, curves as points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from levada.previews.cells import LONGEST, cell, number, shorten

if TYPE_CHECKING:
    import numpy.typing as npt

    from levada.json_types import Json
    from levada.previews import Preview

#: Items that are looked at; of a larger array every n-th one is.
_SAMPLE = 200_000
_BINS = 20
#: Items up to which an array is shown whole: a confusion matrix of 25 classes, a short curve.
_WHOLE = 625
#: Points that a longer curve is shown by.
_POINTS = 200


def show(array: npt.NDArray[Any]) -> Preview:
    """Show an array."""
    preview: Preview = {
        "kind": "array",
        "shape": list(array.shape),
        "dtype": shorten(str(array.dtype)),
    }
    if array.size <= _WHOLE:
        preview["values"] = _nested(array.tolist())
    elif array.ndim == 1 and array.dtype.kind in "biuf":
        places = np.linspace(0, array.size - 1, _POINTS).round().astype(np.int64)
        preview["points"] = [[int(at), cell(array[at].item())] for at in places]
    if array.dtype.kind in "biuf" and array.size:
        preview |= distribution(_sample(array))
    return preview


def _sample(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Take every n-th item without copying the rest."""
    if array.size <= _SAMPLE:
        return array.ravel()
    stride = -(-array.size // _SAMPLE)
    return array.reshape(-1)[::stride] if array.flags.c_contiguous else array.flat[::stride]


def distribution(items: npt.NDArray[Any]) -> Preview:
    """Give range, mean and histogram of numbers, and how many are not a number.

    ``sampled`` is how many items these figures are of.
    """
    numbers = items.astype(np.float64)
    with np.errstate(all="ignore"):
        finite = numbers[np.isfinite(numbers)]
        found: Preview = {"sampled": int(items.size), "nan": int(np.isnan(numbers).sum())}
        if not finite.size:
            return found
        low, high = float(finite.min()), float(finite.max())
        found |= {"min": low, "max": high, "mean": number(float(finite.mean()))}
        try:
            counts, edges = np.histogram(finite, bins=_BINS)
        except ValueError:  # there are no 20 numbers between them, or infinitely many
            return found
        found["histogram"] = {
            "edges": [float(edge) for edge in edges],
            "counts": [int(count) for count in counts],
        }
    return found


def quantiles(items: npt.NDArray[Any]) -> dict[str, Json]:
    """Give the range, the mean and the quartiles of those numbers that are finite."""
    with np.errstate(all="ignore"):
        numbers = items.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if not numbers.size:
            return {}
        low, first, median, third, high = np.quantile(numbers, (0, 0.25, 0.5, 0.75, 1)).tolist()
        mean = number(float(numbers.mean()))
    return {"min": low, "max": high, "mean": mean, "quantiles": [first, median, third]}


def _nested(value: Any) -> Json:
    if isinstance(value, (list, tuple)):
        return [_nested(item) for item in value]
    return shorten(cell(value), LONGEST) if isinstance(cell(value), str) else cell(value)  # type: ignore[arg-type]
