"""The names of an expression, looked up in the index: what they mean, and who has them."""

from __future__ import annotations

from levada_records.query.places import (
    COLUMNS,
    JSON_COLUMNS,
    Place,
    column_name,
    did_you_mean,
    readings,
)
from levada_records.query.sql import Expressions, piece

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable
    from typing import Any

    from levada_records.index import Index
    from levada_records.query.sql import Sql
    from levada_records.query.syntax import Text

#: Entries that may be named before any run has them: tags are set when somebody thinks of them.
_LATER = ("tags",)
#: The columns whose entries are suggested for a name that is not known, and in how many runs they
#: are looked for.
_NAMED = ("params", "metrics", "tags", "counts", "error")
_NEWEST = 2000


class Names:
    """Looks up names in an index, and remembers what each is compared with."""

    def __init__(self, index: Index) -> None:
        self.expressions = Expressions(index.sql)
        self._index = index
        self._uses: dict[Place, dict[str, Callable[[str], Exception]]] = {}
        #: Make the error that points at the place's name.
        self._named: dict[Place, Callable[[str], Exception]] = {}
        #: What a person should know, though it is no error.
        self.warnings: list[str] = []

    def place(self, node: ast.expr, text: Text) -> Place | None:
        """Return what a node names; None if it is something else than a name.

        Raises QueryError if a row has nothing of this name.
        """
        parts = _parts(node)
        if parts is None:
            return None
        return self._found(parts, lambda message: text.error(message, node))

    def _found(self, parts: tuple[str, ...], error: Callable[[str], Exception]) -> Place:
        first, *rest = parts
        column = column_name(first)
        if column is None:
            raise error(_unknown(first, self._entries()))
        if column in COLUMNS:
            if rest:
                raise error(f"`{first}` is a {COLUMNS[column]}: it has no `{rest[0]}`")
            return Place(column)
        if not rest:
            names = {"error": "error.type", "counts": "counts.failed"}
            example = names.get(column, f"{column}.NAME")
            raise error(f"name one {JSON_COLUMNS[column]}: `{example}`")
        *likely, last = readings(column, tuple(rest))
        place = next((each for each in likely if self._has(each, "any")), last)
        self._named.setdefault(place, error)
        return place

    def has_named(self, place: Place) -> bool:
        """Whether a place was named so far."""
        return place in self._named

    def use(self, place: Place, wanted: str, error: Callable[[str], Exception]) -> None:
        """Remember that a place is compared with a ``number``, a ``text`` or ``any`` value.

        Raises QueryError if the column never has such a value.
        """
        if place.kind in ("metric", "number") and wanted == "text":
            raise error(f"`{place.name}` is a number: compare it with a number, not with text")
        if place.kind == "text" and wanted == "number":
            raise error(f"`{place.name}` is text: compare it with text, in quotes")
        if place.keys:
            self._uses.setdefault(place, {}).setdefault(wanted, error)

    def check(self) -> None:
        """Raise QueryError for what no run has, or only of another type."""
        for place, uses in self._uses.items():
            for wanted, error in uses.items():
                if not self._has(place, wanted):
                    self._report(place, wanted, error)

    def _report(self, place: Place, wanted: str, error: Callable[[str], Exception]) -> None:
        found = self._counts(place)
        other = {"number": "text", "text": "number"}.get(wanted, "")
        if count := found.get(other):
            runs = f"in {count:,} runs" if count > 1 else "in the only run that has it"
            word, example = {"text": ("text", "in quotes")}.get(other, ("a number", "no quotes"))
            raise error(f"`{place.name}` is {word} {runs}: compare it with {word} ({example})")
        if found["any"] or not found["all"]:
            return  # lists, or None everywhere; and in an empty index nothing has a name
        known = self._entries([place.column])
        near = did_you_mean(place.name, known)
        message = f"no run has the {JSON_COLUMNS[place.column]} `{place.name}`{near}"
        if place.column not in _LATER:
            raise self._named.get(place, error)(message)
        self.warnings.append(message)

    # ------------------------------------------------------------------ the index

    def _value(self, place: Place, wanted: str) -> Sql | None:
        if wanted == "number":
            return self.expressions.number(place)
        return self.expressions.text(place)

    def _has(self, place: Place, wanted: str) -> bool:
        """Whether some run has such a value there; the newest are asked first."""
        if wanted == "any":
            condition = piece("NOT ({})", self.expressions.missing(place))
            if place.kind == "metric" and self._has(place, "number"):
                return True
        else:
            value = self._value(place, wanted)
            if value is None:
                return False
            condition = piece("{} IS NOT NULL", value)
        query = piece("SELECT 1 FROM runs WHERE {} ORDER BY started DESC LIMIT 1", condition)
        return bool(list(self._index.execute(query.text, query.parameters)))

    def _counts(self, place: Place) -> dict[str, int]:
        """Count the runs that have a number there, a text, anything; and all runs."""
        expressions = self.expressions
        values = {"number": expressions.number(place), "text": expressions.text(place)}
        here = piece("CASE WHEN {} THEN NULL ELSE 1 END", expressions.missing(place))
        counted = {**{kind: sql for kind, sql in values.items() if sql}, "any": here}
        query = piece(
            f"SELECT count(*), {', '.join(['count({})'] * len(counted))} FROM runs",
            *counted.values(),
        )
        ((every, *counts),) = self._index.execute(query.text, query.parameters)
        return dict(zip(("all", *counted), map(int, map(str, (every, *counts))), strict=True))

    def _entries(self, columns: Iterable[str] = _NAMED) -> list[str]:
        """Return the names of entries in JSON of the newest runs."""
        import json

        found: set[str] = set()
        for column in columns:
            query = f"SELECT {column} FROM runs ORDER BY started DESC LIMIT {_NEWEST:d}"
            for text in {str(text) for (text,) in self._index.execute(query) if text}:
                last = ("last",) if column == "metrics" else ()
                found.update(Place(column, (key, *last)).name for key in json.loads(text))
        return sorted(found)


def _unknown(name: str, entries: Iterable[str]) -> str:
    """Return the message for a first part that is no column."""
    known = (*COLUMNS, *JSON_COLUMNS)
    near = did_you_mean(name, known)
    if near.startswith("; did"):
        return f"a run has no `{name}`{near}"
    # Somebody wrote `depth` for `params.depth`, or `auc` for `metrics.train.auc`.
    ends = sorted(each for each in entries if each.endswith(f".{name}") or f".{name}." in each)
    if ends:
        return f"a run has no `{name}`; did you mean `{ends[0]}`?"
    return f"a run has no `{name}`{did_you_mean(name, known)}"


def _parts(node: Any) -> tuple[str, ...] | None:
    """Return the parts of ``a.b["c"].d``; None for anything else."""
    parts: list[str] = []
    while True:
        kind = type(node).__name__
        if kind == "Attribute":
            parts.append(node.attr)
        elif kind == "Subscript" and isinstance(getattr(node.slice, "value", None), str):
            parts.append(node.slice.value)
        else:
            break
        node = node.value
    if type(node).__name__ != "Name":
        return None
    return (node.id, *reversed(parts))
