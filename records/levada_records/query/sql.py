"""Places of a row as SQL: what of their values can be compared, and how, in both databases.

A value that is not of the wanted type is NULL, so that comparing it is never true. Values of a user
are parameters. Keys are in literals that `Dialect` quotes, so that the database finds an index on
the same expression.
"""

from __future__ import annotations

from levada_records.index.tables import quote_column, quote_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada_records.index.tables import Dialect
    from levada_records.query.places import Place

_INT64 = 1 << 63
#: Columns whose texts are never long.
_SHORT = ("pipeline", "run_id", "status", "started", "finished")


class Sql:
    """A piece of SQL, and the parameters of its ``?`` in order."""

    __slots__ = ("is_long", "parameters", "text")

    def __init__(self, text: str, *parameters: str | float, is_long: bool = False) -> None:
        self.text = text
        #: Whether it may be a text of any length: PostgreSQL has no room for it in an index.
        self.is_long = is_long
        self.parameters = parameters


TRUE = Sql("TRUE")
FALSE = Sql("FALSE")


def parameter(value: str | float) -> Sql:
    """Return a value as a parameter. An integer that no database holds becomes a float."""
    if isinstance(value, str):
        return Sql("?", value)
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return Sql("?", int(value))
    try:
        return Sql("?", float(value))
    except OverflowError:
        return Sql("?", float("inf") if value > 0 else float("-inf"))


def piece(template: str, *parts: Sql) -> Sql:
    """Return a piece made of others: each replaces a ``{}`` of the template, in order.

    >>> piece("{} = {}", Sql("seconds"), Sql("?", 3)).text
    'seconds = ?'
    """
    texts = template.split("{}")
    text = texts[0]
    for part, rest in zip(parts, texts[1:], strict=True):
        text += part.text + rest
    return Sql(text, *(value for part in parts for value in part.parameters))


def joined(word: str, parts: list[Sql]) -> Sql:
    """Return pieces with ``AND`` or ``OR`` between them, in parentheses.

    >>> joined("OR", [Sql("a"), Sql("b")]).text
    '(a OR b)'
    """
    if len(parts) == 1:
        return parts[0]
    return piece("(" + f" {word} ".join(["{}"] * len(parts)) + ")", *parts)


def negated(condition: Sql) -> Sql:
    """Return whether a condition is not true: it is false, or compares what is not there."""
    return piece("({}) IS NOT TRUE", condition)


class Expressions:
    """What can be asked of a place of a row, in one of the databases."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._is_sqlite = dialect.name == "sqlite"
        #: Texts are ordered by code point, as Python's are.
        self._collation = "" if self._is_sqlite else ' COLLATE "C"'

    def number(self, place: Place) -> Sql | None:
        """Return the number at a place, NULL for anything else; None if it never has one.

        Truth values are 1 and 0, as in Python.
        """
        if not place.keys:
            return Sql(quote_column(place.column)) if place.kind == "number" else None
        number = self._dialect.json_number(place.column, *place.keys)
        if place.kind == "metric":
            return Sql(f"({number})")
        return Sql(f"COALESCE({number}, {self._dialect.json_boolean(place.column, *place.keys)})")

    def text(self, place: Place) -> Sql | None:
        """Return the text at a place, NULL for anything else; None if it never has one."""
        if not place.keys:
            is_long = place.column not in _SHORT
            name = quote_column(place.column)
            return Sql(name, is_long=is_long) if place.kind == "text" else None
        if place.kind == "metric":
            return None
        found = f"({self._dialect.json_text(place.column, *place.keys)}{self._collation})"
        return Sql(found, is_long=True)

    def missing(self, place: Place) -> Sql:
        """Return whether there is nothing at a place, or None."""
        if not place.keys:
            return Sql(f"{quote_column(place.column)} IS NULL")
        return Sql(f"COALESCE({self._type(place)}, 'null') = 'null'")

    def is_truth(self, place: Place, value: bool) -> Sql:
        """Return whether there is exactly True, or False."""
        if not place.keys:
            return Sql(f"{quote_column(place.column)} = {value:d}")
        found = self._dialect.json_boolean(place.column, *place.keys)
        return Sql(f"({found}) = {value:d}")

    def is_true(self, place: Place) -> Sql:
        """Return what ``if`` decides: neither missing, nor 0, nor empty."""
        found = []
        if (number := self.number(place)) is not None:
            found.append(piece("{} <> 0", number))
        if (text := self.text(place)) is not None:
            found.append(piece("{} <> ''", text))
        if place.kind == "metric":
            found.append(Sql(f"({self._dialect.json_text(place.column, *place.keys)}) = 'NaN'"))
        if place.kind == "json":
            value, empty = self._json(place), "'[]', '{}'"
            if not self._is_sqlite:
                empty = "'[]'::jsonb, '{}'::jsonb"
            kind = f"{self._type(place)} IN ('array', 'object')"
            found.append(Sql(f"({kind} AND {value} NOT IN ({empty}))"))
        return joined("OR", found)

    def equal_json(self, place: Place, other: Place) -> Sql:
        """Return whether there are equal lists or dicts in both places."""
        kind, same = self._type(place), self._type(other)
        values = f"{self._json(place)} = {self._json(other)}"
        return Sql(f"({kind} IN ('array', 'object') AND {kind} = {same} AND {values})")

    def is_list(self, place: Place, items: str) -> Sql:
        """Return whether there is a list that is this one, as JSON."""
        given = "?" if self._is_sqlite else "?::jsonb"
        kind = f"{self._type(place)} = 'array'"
        return Sql(f"({kind} AND {self._json(place)} = {given})", items)

    def has_text(self, place: Place, text: Sql) -> Sql:
        """Return whether there is a list with this text in it, or a dict with this key."""
        item = "m.type = 'text' AND m.value = {}"
        if not self._is_sqlite:
            item = "jsonb_typeof(m.value) = 'string' AND m.value #>> ARRAY[]::text[] = {}"
        in_list = self._any(place, "array", piece(item, text))
        return joined("OR", [in_list, self._any(place, "object", piece("m.key = {}", text))])

    def has_number(self, place: Place, number: Sql) -> Sql:
        """Return whether there is a list with this number in it, or one that equals it."""
        item = "m.type IN ('integer', 'real', 'true', 'false') AND m.value = {}"
        if not self._is_sqlite:
            item = (
                "CASE jsonb_typeof(m.value) WHEN 'number' THEN m.value::float8"
                " WHEN 'boolean' THEN m.value::boolean::int::float8 END = {}"
            )
        return self._any(place, "array", piece(item, number))

    def has_none(self, place: Place) -> Sql:
        """Return whether there is a list with None in it."""
        item = "m.type = 'null'" if self._is_sqlite else "m.value = 'null'::jsonb"
        return self._any(place, "array", Sql(item))

    def has_part(self, text: Sql, part: Sql) -> Sql:
        """Return whether a text has another one in it."""
        return piece("instr({}, {}) > 0" if self._is_sqlite else "strpos({}, {}) > 0", text, part)

    def starts_with(self, text: Sql, start: str) -> Sql:
        """Return whether a text starts so."""
        return piece(f"substr({{}}, 1, {len(start):d}) = {{}}", text, parameter(start))

    def ends_with(self, text: Sql, end: str) -> Sql:
        """Return whether a text ends so."""
        if not end:
            return piece("{} IS NOT NULL", text)
        template = "substr({}, -%d) = {}" if self._is_sqlite else "right({}, %d) = {}"
        return piece(template % len(end), text, parameter(end))

    def ordered(self, value: Sql, *, descending: bool) -> Sql:
        """Return a term of ``ORDER BY``; NULL comes last."""
        if descending and self._is_sqlite:
            return piece("{} DESC", value)  # the same there, and an index serves it
        return piece("{} DESC NULLS LAST" if descending else "{} ASC NULLS LAST", value)

    # ------------------------------------------------------------------ JSON

    def _type(self, place: Place) -> str:
        return self._dialect.json_type(place.column, *place.keys)

    def _json(self, place: Place) -> str:
        """Return what is at a place as JSON; in SQLite that is a text."""
        column = quote_column(place.column)
        if not self._is_sqlite:
            return f"({column} #> ARRAY[{', '.join(map(quote_text, place.keys))}]::text[])"
        if not any('"' in key or "\\" in key or not key.isprintable() for key in place.keys):
            path = "".join(f'."{key}"' for key in place.keys)
            return f"json_extract({column}, {quote_text(f'${path}')})"
        for key in place.keys:  # no path can name it
            column = f"(SELECT value FROM json_each({column}) WHERE key = {quote_text(key)})"
        return column

    def _any(self, place: Place, kind: str, condition: Sql) -> Sql:
        """Return whether an item ``m`` of the list or dict at a place meets a condition."""
        value, is_kind = self._json(place), f"{self._type(place)} = '{kind}'"
        if self._is_sqlite:
            items = f"json_each(CASE WHEN {is_kind} THEN {value} END) AS m"
        elif kind == "array":
            items = f"jsonb_array_elements(CASE WHEN {is_kind} THEN {value} END) AS m(value)"
        else:
            items = f"jsonb_each(CASE WHEN {is_kind} THEN {value} END) AS m"
        text = f"EXISTS (SELECT 1 FROM {items} WHERE {condition.text})"
        return Sql(text, *condition.parameters)
