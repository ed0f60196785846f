"""Rows of runs: filtered, sorted, and as the objects that ``levada runs --json`` prints."""

from __future__ import annotations

from levada.index_log import REMOVED

from levada_records.index.tables import quote_column
from levada_records.query.names import Names
from levada_records.query.places import COLUMNS, JSON_COLUMNS, Place
from levada_records.query.sql import TRUE, Sql, joined, piece
from levada_records.query.syntax import QueryError, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from levada_records.index import Index

#: What a row has: the digests of inputs, outputs and code are many, and seldom asked for.
SELECTED = tuple(
    name for name in (*COLUMNS, *JSON_COLUMNS) if name not in ("inputs", "outputs", "code")
)

_REMOVED = Place("tags", (REMOVED,))


def select(
    index: Index,
    *,
    pipeline: str | None = None,
    where: str | None = None,
    order_by: str | Sequence[str] = (),
    limit: int | None = None,
    warnings: list[str] | None = None,
    fields: Iterable[Place] = (),
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the runs that meet a condition, newest first or in an order.

    A run that `levada gc` removed is left out, unless a field that is named is ``tags.removed``.
    A row is a dict with a value for each of `SELECTED`, and for the columns of ``fields``; those of
    JSON columns are dicts. ``order_by`` holds names of fields, with a ``-`` before those whose
    largest value comes first; runs without a value come last. What a person should know is added to
    ``warnings``. Raises QueryError for what makes no sense, before the first row.

    >>> rows = select(index, where="metrics.train.auc > 0.9", limit=3)  # doctest: +SKIP
    """
    names = Names(index)
    others = sorted({place.column for place in fields} - {*SELECTED})
    query = _Query(limit, (*SELECTED, *others))
    if pipeline is not None:
        query.add(Sql("pipeline = ?", pipeline))
    if where is not None:
        query.filter(where, names)
    query.sort([order_by] if isinstance(order_by, str) else order_by, names)
    if not names.has_named(_REMOVED):
        query.add(names.expressions.missing(_REMOVED))
    names.check()
    if warnings is not None:
        warnings.extend(names.warnings)
    return _rows(index, query)


def named(field: str, names: Names) -> Place:
    """Return the field of a run that a name means; `Names.check` says whether a run has it.

    Raises QueryError if nothing can be meant.
    """
    text = Text(field)
    node = text.tree()
    place = names.place(node, text)
    if place is None:
        raise text.error("name a field of a run, as `started` or `metrics.train.auc`", node)
    names.use(place, "any", lambda message: text.error(message, node))
    return place


def places(index: Index, fields: Sequence[str]) -> list[tuple[str, Place]]:
    """Return each name of a field with what it means. Raises QueryError if no run has it."""
    names = Names(index)
    found = [(field, named(field, names)) for field in fields]
    names.check()
    return found


def value_at(row: dict[str, Any], place: Place) -> Any:
    """Return what a row has at a place; None where there is nothing."""
    found = row.get(place.column)
    for key in place.keys:
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    return found


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as ``levada runs --json`` prints it: of each metric its last value."""
    found = {name: row[name] for name in ("run_id", "pipeline", *SELECTED)}
    if found["dirty"] is not None:
        found["dirty"] = bool(found["dirty"])
    found["metrics"] = {
        name: metric.get("last") if isinstance(metric, dict) else metric
        for name, metric in row["metrics"].items()
    }
    return found


class _Query:
    """The query for some rows of a table."""

    def __init__(self, limit: int | None, columns: Sequence[str]) -> None:
        self.limit = limit
        self.columns = columns
        self.is_by_time = True
        #: What an index has to have in it, in this order, for the query to be fast.
        self.keys: list[Sql] = []
        self._conditions: list[Sql] = []
        self._order: list[Sql] = []

    def add(self, condition: Sql) -> None:
        """Take only rows that meet a condition."""
        self._conditions.append(condition)

    def filter(self, where: str, names: Names) -> None:
        """Take only rows that an expression is true of. Raises QueryError if it is none."""
        from levada_records.query.conditions import Conditions

        text = Text(where)
        tree = text.tree()
        conditions = Conditions(text, names)
        try:
            self._conditions.append(conditions.condition(tree))
        except RecursionError:
            raise QueryError("the expression is nested too deep") from None
        self.keys += [*conditions.equal, *conditions.bounded[:1]]

    def sort(self, fields: Sequence[str], names: Names) -> None:
        """Sort by these fields, then by what tells all rows apart. Raises QueryError."""
        expressions = names.expressions
        for field in fields:
            place = named(field.removeprefix("-"), names)
            for value in (expressions.number(place), expressions.text(place)):
                if value is not None:
                    descending = field.startswith("-")
                    self._order.append(expressions.ordered(value, descending=descending))
                    if not self.keys:
                        self.keys.append(value)
        self.is_by_time = not fields
        newest = expressions.ordered(Sql("started"), descending=True)
        self._order += [newest, Sql("pipeline"), Sql("run_id")]

    def of(self, table: Sql) -> Sql:
        """Return the query of all rows of a table."""
        columns = ", ".join(map(quote_column, self.columns))
        condition = joined("AND", self._conditions) if self._conditions else TRUE
        limit = "" if self.limit is None else f" LIMIT {self.limit:d}"
        template = f"SELECT {columns} FROM {{}} WHERE {{}} ORDER BY {{}}{limit}"
        return piece(template, table, condition, self._sorted())

    def of_newest(self) -> Sql:
        """Return the same of the newest runs only."""
        newest = f"(SELECT * FROM runs ORDER BY {{}} LIMIT {_NEWEST:d}) AS runs"
        return self.of(piece(newest, self._sorted()))

    def _sorted(self) -> Sql:
        return piece(", ".join(["{}"] * len(self._order)), *self._order)


#: Runs among which the newest that meet a condition are looked for at first. Most conditions are
#: met by enough of them; of those that are not, an index helps.
_NEWEST = 1000
#: Seconds to the first row of a query after which what it compares gets an index.
_SLOW = 0.02


def _rows(index: Index, query: _Query) -> Iterator[dict[str, Any]]:
    from time import perf_counter

    if query.is_by_time and query.limit is not None:
        newest = query.of_newest()
        values = list(index.execute(newest.text, newest.parameters))
        if len(values) >= query.limit:
            yield from (_row(query.columns, each) for each in values)
            return
    every = query.of(Sql("runs"))
    started = perf_counter()
    found = index.execute(every.text, every.parameters)
    first = next(found, None)
    took = perf_counter() - started
    if first is not None:
        yield _row(query.columns, first)
        yield from (_row(query.columns, each) for each in found)
    if took > _SLOW:
        from levada_records.query.indexes import add_index

        add_index(index, query.keys)


def _row(columns: Sequence[str], values: tuple[object, ...]) -> dict[str, Any]:
    import json

    row: dict[str, Any] = dict(zip(columns, values, strict=True))
    for name in JSON_COLUMNS:
        if name in row:
            found = row[name]
            row[name] = json.loads(found) if isinstance(found, str) else found
            if row[name] is None and name != "error":
                row[name] = {}
    return row
