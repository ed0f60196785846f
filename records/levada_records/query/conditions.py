"""An expression as a condition of SQL.

The SQL is true exactly where Python would decide for the expression on the row of a run. What a run
does not have is None. Comparing None, or values of different types, by ``<`` is false, where Python
would raise. A condition that is not true may be false or NULL; `negated` makes no difference
between the two.
"""

from __future__ import annotations

from levada.operations import Budget, ExpressionError
from levada.operations.operators import COMPARE_SYMBOLS
from levada.operations.walker import Walker, dotted_parts

from levada_records.query.places import STATUSES, Place, did_you_mean
from levada_records.query.sql import FALSE, TRUE, Sql, joined, negated, parameter, piece

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence
    from typing import Any

    from levada_records.query.names import Names
    from levada_records.query.syntax import QueryError, Text

#: Values in all lists of an expression; SQLite takes 32,766 parameters, older ones 999.
_MOST_VALUES = 900
#: Comparisons in an expression; SQLite's parser has a bound for nesting.
_MOST_COMPARISONS = 300
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
_OPPOSITES = {"is not": "is", "not in": "in", "!=": "=="}
_ALLOWED = (
    "an expression compares the fields of a run: `==`, `!=`, `<`, `in`, `is None`, `and`, `or`,"
    " `not`, and `.startswith(…)` and `.endswith(…)` of text"
)


class Constant:
    """A value that is written in the expression."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class _Constants(Walker):
    """Evaluates what has no name of a run in it."""

    def named(self, parts: list[str], node: ast.expr) -> object:  # noqa: ARG002
        """Refuse a name."""
        raise ExpressionError(f"`{'.'.join(parts)}` cannot be used here")

    def uncallable(self, node: ast.expr) -> Exception:
        """Return the error of a call of something that is no function."""
        name = ".".join(dotted_parts(node) or ["this"])
        return ExpressionError(f"`{name}(…)` cannot be called here")


class Conditions:
    """Turns the tree of one expression into SQL."""

    def __init__(self, text: Text, names: Names) -> None:
        self._text = text
        self._names = names
        self._sql = names.expressions
        self._comparisons = self._values = 0
        #: What all runs that are found have a given value of, and what is within bounds.
        self.equal: list[Sql] = []
        self.bounded: list[Sql] = []
        self._is_asked_of_all = True

    def condition(self, node: Any) -> Sql:
        """Return the SQL that is true where ``if`` would take the node for true."""
        kind = type(node).__name__
        if kind == "BoolOp" and type(node.op).__name__ == "And":
            return joined("AND", [self.condition(each) for each in node.values])
        if kind == "BoolOp":
            return joined("OR", [self._apart(each) for each in node.values])
        if kind == "UnaryOp" and type(node.op).__name__ == "Not":
            return negated(self._apart(node.operand))
        if kind == "Compare":
            return self._compared(node)
        self._count(node)
        if kind == "Call" and type(node.func).__name__ == "Attribute":
            place = self._names.place(node.func.value, self._text)
            if place is not None:
                return self._method(node, place)
        operand = self._operand(node)
        if isinstance(operand, Constant):
            return TRUE if operand.value else FALSE
        self._use(operand, "any", node)
        return self._sql.is_true(operand)

    def _apart(self, node: ast.expr) -> Sql:
        """Return the SQL of what need not be true of all runs that are found."""
        before, self._is_asked_of_all = self._is_asked_of_all, False
        found = self.condition(node)
        self._is_asked_of_all = before
        return found

    # ------------------------------------------------------------------ operands

    def _operand(self, node: Any) -> Place | Constant:
        """Return what is compared. Raises QueryError if nothing can compare it."""
        if type(node).__name__ == "Constant":
            return Constant(node.value)
        place = self._names.place(node, self._text) if not _is_call(node) else None
        if place is not None:
            return place
        self._refuse_computed(node)
        try:
            return Constant(_Constants(Budget(), {}).loaded(node))
        except RecursionError:
            raise self._error("the expression is nested too deep", node) from None
        except Exception as error:  # noqa: BLE001  whatever Python raises for it
            raise self._error(str(error) or type(error).__name__, node) from None

    def _refuse_computed(self, node: Any) -> None:
        """Refuse an expression that computes with fields of a run."""
        import ast

        names = [each for each in ast.walk(node) if isinstance(each, (ast.Attribute, ast.Name))]
        if isinstance(node, (ast.Compare, ast.BoolOp)):
            raise self._error("a comparison cannot be compared itself: use `and` and `or`", node)
        callees = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
        called = {id(inner) for callee in callees for inner in ast.walk(callee)}
        for name in names:
            if id(name) not in called:
                self._names.place(name, self._text)  # says so if there is no such name
                raise self._error(f"{_ALLOWED}; it does not compute with them", node)
        for callee in callees:
            if self._is_of_a_run(callee):
                raise self._error(_ALLOWED, node)

    def _is_of_a_run(self, callee: Any) -> bool:
        from levada_records.query.places import column_name

        while type(callee).__name__ in ("Attribute", "Subscript"):
            callee = callee.value
        return type(callee).__name__ == "Name" and column_name(callee.id) is not None

    def _error(self, message: str, node: ast.AST) -> QueryError:
        return self._text.error(message, node)

    def _use(self, place: Place, wanted: str, node: ast.AST) -> None:
        self._names.use(place, wanted, lambda message: self._error(message, node))

    def _count(self, node: ast.AST) -> None:
        self._comparisons += 1
        if self._comparisons > _MOST_COMPARISONS:
            raise self._error(f"the expression has more than {_MOST_COMPARISONS} comparisons", node)

    def _parameter(self, value: str | float, node: ast.AST) -> Sql:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise self._error(f"the expression has more than {_MOST_VALUES} values", node)
        return parameter(value)

    # ------------------------------------------------------------------ comparisons

    def _compared(self, node: ast.Compare) -> Sql:
        """Return the SQL of a comparison; a chained one is several."""
        operands = [node.left, *node.comparators]
        found = []
        for op, left, right in zip(node.ops, operands, node.comparators, strict=False):
            self._count(left)
            found.append(self._pair(COMPARE_SYMBOLS[type(op).__name__], left, right))
        return joined("AND", found)

    def _pair(self, op: str, left: ast.expr, right: ast.expr) -> Sql:
        if op in _OPPOSITES:
            before, self._is_asked_of_all = self._is_asked_of_all, False
            found = negated(self._pair(_OPPOSITES[op], left, right))
            self._is_asked_of_all = before
            return found
        first, second = self._operand(left), self._operand(right)
        if isinstance(first, Constant) and isinstance(second, Constant):
            return self._constant(op, first.value, second.value, left)
        if op == "in":
            return self._contained(first, second, left, right)
        if isinstance(first, Constant):  # `0.9 < metrics.train.auc`
            if op == "is":
                return self._pair(op, right, left)
            return self._pair(_MIRRORED[op], right, left)
        if op == "is":
            return self._identical(first, second, right)
        if isinstance(second, Constant):
            return self._with_constant(op, first, second.value, right)
        self._use(first, "any", left)
        self._use(second, "any", right)
        return self._with_place(op, first, second)

    def _constant(self, op: str, left: object, right: object, node: ast.AST) -> Sql:
        from levada.operations import compare

        try:
            return TRUE if compare(op, left, right, Budget()) else FALSE
        except Exception as error:  # noqa: BLE001  whatever Python raises for it
            raise self._error(str(error), node) from None

    def _identical(self, place: Place, other: Place | Constant, node: ast.AST) -> Sql:
        value = other.value if isinstance(other, Constant) else other
        if value is None:
            self._use(place, "any", node)
            return self._sql.missing(place)
        if value is True or value is False:
            self._use(place, "number", node)
            return self._sql.is_truth(place, value)
        raise self._error("`is` is for None, True and False: compare with `==`", node)

    def _with_constant(self, op: str, place: Place, value: object, node: ast.AST) -> Sql:
        if value is None:
            self._use(place, "any", node)
            return self._sql.missing(place) if op == "==" else FALSE
        if isinstance(value, str):
            self._use(place, "text", node)
            if place.column == "status" and op == "==":
                self._check_status(value, node)
            text = self._sql.text(place)
            return FALSE if text is None else self._operated(op, text, value, node)
        if isinstance(value, (int, float)):
            self._use(place, "number", node)
            number = self._sql.number(place)
            if number is None or value != value:  # NaN
                return FALSE
            return self._operated(op, number, value, node)
        if isinstance(value, list) and op == "==":
            return self._equal_list(place, value, node)
        kind = type(value).__name__
        raise self._error(f"a field cannot be compared with a {kind} by `{op}`", node)

    def _operated(self, op: str, found: Sql, value: str | float, node: ast.AST) -> Sql:
        symbol = "=" if op == "==" else op
        if self._is_asked_of_all:
            (self.equal if op == "==" else self.bounded).append(found)
        return piece(f"{{}} {symbol} {{}}", found, self._parameter(value, node))

    def _equal_list(self, place: Place, value: list[object], node: ast.AST) -> Sql:
        import json

        self._use(place, "any", node)
        if place.kind != "json":
            return FALSE
        try:
            items = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            raise self._error("a list holds numbers, texts, True, False and None", node) from None
        return self._sql.is_list(place, items)

    def _check_status(self, value: str, node: ast.AST) -> None:
        if value not in STATUSES:
            near = did_you_mean(value, STATUSES)
            raise self._error(f"there is no status `{value}`{near}", node)

    def _with_place(self, op: str, place: Place, other: Place) -> Sql:
        """Return the SQL of two fields that are compared with each other."""
        sql = self._sql
        symbol = "=" if op == "==" else op
        pairs = ((sql.number(place), sql.number(other)), (sql.text(place), sql.text(other)))
        found = [piece(f"{{}} {symbol} {{}}", a, b) for a, b in pairs if a and b]
        if op == "==":
            both = piece("{} AND {}", sql.missing(place), sql.missing(other))
            found.append(piece("({})", both))
            if place.kind == other.kind == "json":
                found.append(sql.equal_json(place, other))
        return joined("OR", found) if found else FALSE

    # ------------------------------------------------------------------ in

    def _contained(
        self, item: Place | Constant, holder: Place | Constant, left: ast.expr, right: ast.expr
    ) -> Sql:
        if isinstance(holder, Constant):
            assert isinstance(item, Place)  # noqa: S101  `_pair` has computed two constants
            return self._within(item, holder.value, left, right)
        if isinstance(item, Constant):
            return self._holds(holder, item.value, right, left)
        self._use(item, "any", left)
        self._use(holder, "any", right)
        text, number = self._sql.text(item), self._sql.number(item)
        found = []
        if text is not None:
            found.append(self._text_within(holder, text))
        if holder.kind == "json":
            if number is not None:
                found.append(self._sql.has_number(holder, number))
            both = (self._sql.missing(item), self._sql.has_none(holder))
            found.append(piece("({} AND {})", *both))
        return joined("OR", [each for each in found if each is not FALSE] or [FALSE])

    def _within(self, item: Place, holder: object, left: ast.expr, right: ast.expr) -> Sql:
        """Return whether a field is one of the values that are written, or a part of a text."""
        if isinstance(holder, str):
            self._use(item, "text", left)
            text = self._sql.text(item)
            if text is None:
                return FALSE
            return self._sql.has_part(self._parameter(holder, right), text)
        if not isinstance(holder, (list, tuple, set, frozenset, dict)):
            raise self._error("`in` needs a list, or a text, on its right side", right)
        values = sorted(holder, key=repr) if isinstance(holder, (set, frozenset)) else list(holder)
        return self._one_of(item, values, right)

    def _one_of(self, item: Place, values: Sequence[object], node: ast.expr) -> Sql:
        plain: dict[str, list[Sql]] = {"text": [], "number": []}
        found = []
        for value in values:
            if isinstance(value, str):
                self._check_item(item, value, node)
                plain["text"].append(self._parameter(value, node))
            elif isinstance(value, (int, float)):
                if value == value:  # NaN
                    plain["number"].append(self._parameter(value, node))
            else:
                found.append(self._with_constant("==", item, value, node))
        for wanted, parameters in plain.items():
            if parameters:
                self._use(item, wanted, node)
                value_sql = self._sql.text(item) if wanted == "text" else self._sql.number(item)
                if value_sql is not None:
                    if self._is_asked_of_all and len(parameters) == len(values):
                        self.equal.append(value_sql)
                    places = ", ".join(["{}"] * len(parameters))
                    found.append(piece(f"{{}} IN ({places})", value_sql, *parameters))
        return joined("OR", found) if found else FALSE

    def _check_item(self, item: Place, value: str, node: ast.AST) -> None:
        if item.column == "status":
            self._check_status(value, node)

    def _holds(self, holder: Place, item: object, node: ast.expr, item_node: ast.expr) -> Sql:
        """Return whether a field has a value in it: text in text, an item in a list."""
        if isinstance(item, str):
            self._use(holder, "any" if holder.kind == "json" else "text", node)
            return self._text_within(holder, self._parameter(item, item_node))
        self._use(holder, "any", node)
        if holder.kind != "json":
            raise self._error(f"`{holder.name}` has no list in it: use `==`", node)
        if item is None:
            return self._sql.has_none(holder)
        if isinstance(item, (int, float)):
            return self._sql.has_number(holder, self._parameter(item, item_node))
        raise self._error("only a number, a text, True, False or None can be in a list", item_node)

    def _text_within(self, holder: Place, item: Sql) -> Sql:
        found = []
        text = self._sql.text(holder)
        if text is not None:
            found.append(self._sql.has_part(text, item))
        if holder.kind == "json":
            found.append(self._sql.has_text(holder, item))
        return joined("OR", found) if found else FALSE

    # ------------------------------------------------------------------ methods

    def _method(self, node: ast.Call, place: Place) -> Sql:
        """Return the SQL of ``note.startswith("…")``."""
        called: Any = node.func
        if called.attr not in ("startswith", "endswith"):
            raise self._error(f"`.{called.attr}(…)` cannot be used: {_ALLOWED}", node)
        if len(node.args) != 1 or node.keywords:
            raise self._error(f"`.{called.attr}(…)` takes one text", node)
        operand = self._operand(node.args[0])
        given = operand.value if isinstance(operand, Constant) else None
        texts = given if isinstance(given, tuple) else (given,)
        self._use(place, "text", called.value)
        text = self._sql.text(place)
        found = []
        for each in texts:
            if not isinstance(each, str):
                raise self._error(f"`.{called.attr}(…)` takes a text, in quotes", node.args[0])
            self._parameter(each, node)
            made = self._sql.starts_with if called.attr == "startswith" else self._sql.ends_with
            found.append(FALSE if text is None else made(text, each))
        return joined("OR", found) if found else FALSE


def _is_call(node: Any) -> bool:
    return type(node).__name__ == "Call"
