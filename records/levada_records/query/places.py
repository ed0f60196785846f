"""What a name in an expression means: a column of a run's row, or a place in one of JSON.

``metrics.train.auc`` is the last value of the metric ``auc`` of the node ``train``;
``metrics.train.auc.max`` its largest one. ``metrics["train.loss/val"]`` is for names that are no
Python names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: The columns that hold one value, and its type.
COLUMNS = {
    "pipeline": "text",
    "run_id": "text",
    "status": "text",
    "started": "text",
    "finished": "text",
    "seconds": "number",
    "engine": "text",
    "environment": "text",
    "trigger": "text",
    "user": "text",
    "commit": "text",
    "branch": "text",
    "dirty": "number",
    "note": "text",
    "plan": "text",
    "source": "text",
    "peak_memory": "number",
    "cpu_seconds": "number",
}
#: The columns of JSON, and what people call one entry of it.
JSON_COLUMNS = {
    "params": "parameter",
    "metrics": "metric",
    "tags": "tag",
    "counts": "count",
    "error": "part of an error",
    "engine_ids": "id of an engine",
    "inputs": "input",
    "outputs": "output",
    "code": "step",
}
#: What the index keeps of the values of a metric.
METRIC_FIELDS = ("last", "min", "max", "count")
#: Columns whose values may have parts of their own; the names of all others may have dots.
_NESTED = ("params", "counts", "error", "engine_ids")
STATUSES = ("running", "succeeded", "failed", "cancelled", "damaged")
#: What people write for the name of a column.
ALIASES = {"run": "run_id", "time": "seconds", "duration": "seconds", "state": "status"}


class Place:
    """Where a value is in a row: a column, and the keys to go down in its JSON."""

    __slots__ = ("column", "keys")

    def __init__(self, column: str, keys: tuple[str, ...] = ()) -> None:
        self.column = column
        self.keys = keys

    @property
    def kind(self) -> str:
        """``text`` or ``number`` of a column that has only such, else ``metric`` or ``json``."""
        if not self.keys:
            return COLUMNS[self.column]
        return "metric" if self.column == "metrics" else "json"

    @property
    def name(self) -> str:
        """As a user writes it."""
        if not self.keys:
            return self.column
        keys = self.keys
        if self.column == "metrics" and keys[-1] == "last":
            keys = keys[:-1]
        return self.column + "".join(_written(key) for key in keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and (self.column, self.keys) == (other.column, other.keys)

    def __hash__(self) -> int:
        return hash((self.column, self.keys))

    def __repr__(self) -> str:
        return f"Place({self.name})"


def _written(key: str) -> str:
    import keyword

    if all(part.isidentifier() and not keyword.iskeyword(part) for part in key.split(".")):
        return f".{key}"
    return f"[{key!r}]"


def column_name(name: str) -> str | None:
    """Return the column that a name means, None if there is none."""
    found = ALIASES.get(name, name)
    return found if found in COLUMNS or found in JSON_COLUMNS else None


def readings(column: str, parts: tuple[str, ...]) -> list[Place]:
    """Return what the parts after the name of a JSON column may mean, the likeliest first.

    >>> readings("metrics", ("train", "auc", "max"))
    [Place(metrics.train.auc.max), Place(metrics.train.auc.max)]
    >>> [place.keys for place in readings("metrics", ("train", "auc", "max"))]
    [('train.auc', 'max'), ('train.auc.max', 'last')]
    >>> [place.keys for place in readings("params", ("model", "depth"))]
    [('model', 'depth'), ('model.depth',)]
    """
    whole = ".".join(parts)
    if column == "metrics":
        places = [Place(column, (whole, "last"))]
        if parts[-1] in METRIC_FIELDS and len(parts) > 1:
            places.insert(0, Place(column, (".".join(parts[:-1]), parts[-1])))
        return places
    if column in _NESTED and len(parts) > 1:
        return [Place(column, parts), Place(column, (whole,))]
    return [Place(column, (whole,))]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean `x`?``, or the names that there are, or nothing."""
    from difflib import get_close_matches

    names = sorted(set(known))
    near = get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean `{near[0]}`?"
    more = ", …" if len(names) > 8 else ""
    return f"; there are: {', '.join(names[:8])}{more}" if names else ""
