"""A filter means what Python means: SQL finds the runs for which Python says so."""

from __future__ import annotations

import ast
import json
import operator
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from levada_records.index import Index
from levada_records.query import select

from .index_rows import metric, put_all

#: Values of parameters. The smallest differences matter: 1 and True, "" and nothing, "1" and 1.
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -0.0, 1.0, 1e300, float("inf"), float("-inf")]).filter(
        lambda value: abs(value) < float("inf")
    )
    | st.sampled_from(
        ["", "a", "ab", "B", "é", "1", "a%", "a_b", "'", '"', "?", "\\", "\U0001f600"]
    )
    | st.lists(st.integers(0, 2) | st.sampled_from(["a", "b"]) | st.none(), max_size=3)
    | st.fixed_dictionaries({}, optional={"a": st.integers(0, 2)})
)
METRICS = st.sampled_from(["NaN", "Infinity", "-Infinity", 0, 0.0, 1, -1, 0.5, 2.5])
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "params": st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES),
            "metrics": st.dictionaries(st.sampled_from(["m.a", "m.b"]), METRICS.map(metric)),
            "note": st.none() | st.sampled_from(["", "a", "ab"]),
            "seconds": st.none() | st.sampled_from([0.0, 1.0, 12.5]),
            "dirty": st.none() | st.integers(0, 1),
        },
    ),
    max_size=6,
)
#: Each name is compared with a number and with a text, so some run has both.
SEEN = [
    {"params": dict.fromkeys("xyz", 1), "metrics": {"m.a": metric(1.0), "m.b": metric(2.0)}},
    {"params": dict.fromkeys("xyz", "a")},
]

NAMES = ("params.x", "params.y", 'params["z"]')
NUMBERS = ("metrics.m.a", "metrics.m.b.max", "metrics['m.a'].count", "seconds", "dirty")
TEXTS = ("note", "run_id")
NUMBER_LITERALS = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "0.5",
        "1.0",
        "True",
        "False",
        "2 - 1",
        "1e300",
        "float('inf')",
        "float('nan')",
    ]
)
TEXT_LITERALS = st.sampled_from(["", "a", "ab", "b", "B", "é", "1", "a%", "_", "'", '"', "?"]).map(
    repr
)
LIST_LITERALS = st.lists(st.integers(0, 2) | st.sampled_from(["a", "b"]), max_size=2).map(repr)
ORDERS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def of(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda given: template.format(*given))


ANY_NAMES = st.sampled_from([*NAMES, *NUMBERS, *TEXTS])
COMPARISONS = (
    of("{} {} {}", st.sampled_from([*NAMES, *NUMBERS]), ORDERS, NUMBER_LITERALS)
    | of("{} {} {}", NUMBER_LITERALS, ORDERS, st.sampled_from([*NAMES, *NUMBERS]))
    | of("{} {} {}", st.sampled_from([*NAMES, *TEXTS]), ORDERS, TEXT_LITERALS)
    | of("{} {} {}", ANY_NAMES, ORDERS, ANY_NAMES)
    | of("{} {} {}", st.sampled_from(NAMES), st.sampled_from(["==", "!="]), LIST_LITERALS)
    | of("{} {} {}", ANY_NAMES, st.sampled_from(["is", "is not", "==", "!="]), st.just("None"))
    | of("{} is {}", st.sampled_from(NAMES), st.sampled_from(["True", "False"]))
    | of("{} < {} <= {}", NUMBER_LITERALS, st.sampled_from(NUMBERS), NUMBER_LITERALS)
    | of("{} {} {}", st.sampled_from(NAMES), st.sampled_from(["in", "not in"]), LIST_LITERALS)
    | of("{} in {}", st.sampled_from([*NAMES, *TEXTS]), TEXT_LITERALS)
    | of("{} in {}", TEXT_LITERALS, st.sampled_from([*NAMES, *TEXTS]))
    | of("{} in {}", st.sampled_from(["0", "1", "None", "True"]), st.sampled_from(NAMES))
    | of("{} in {}", st.sampled_from([*NAMES, *TEXTS]), st.sampled_from(NAMES))
    | of(
        "{}.{}({})",
        st.sampled_from([*NAMES, *TEXTS]),
        st.sampled_from(["startswith", "endswith"]),
        TEXT_LITERALS,
    )
    | ANY_NAMES
    | st.sampled_from(["True", "False", "None", "1 < 2"])
)
EXPRESSIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        of("({} and {})", inner, inner) | of("({} or {})", inner, inner) | of("(not {})", inner)
    ),
    max_leaves=4,
)

# ---------------------------------------------------------------------------- Python's answer

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda a, b: a in b,
    "NotIn": lambda a, b: a not in b,
}
#: Lists are only compared for equality.
ORDERED = ("Lt", "LtE", "Gt", "GtE")


def holds(node: Any, row: dict[str, Any]) -> Any:
    """What Python computes on a row; what it refuses to compare is not so."""
    match node:
        case ast.BoolOp(op=ast.And()):
            return all(holds(each, row) for each in node.values)
        case ast.BoolOp():
            return any(holds(each, row) for each in node.values)
        case ast.UnaryOp(op=ast.Not()):
            return not holds(node.operand, row)
        case ast.Compare():
            values = [value(each, row) for each in (node.left, *node.comparators)]
            pairs = zip(node.ops, values, values[1:], strict=False)
            return all(compared(type(op).__name__, a, b) for op, a, b in pairs)
        case ast.Call(func=ast.Attribute(value=receiver, attr=name)):
            text = value(receiver, row)
            return isinstance(text, str) and getattr(text, name)(value(node.args[0], row))
    return bool(value(node, row))


def compared(name: str, left: Any, right: Any) -> bool:
    if name == "NotIn":
        return not compared("In", left, right)
    if name in ORDERED and isinstance(left, (list, dict)):
        return False
    try:
        return bool(OPERATORS[name](left, right))
    except TypeError:
        return False


def value(node: ast.expr, row: dict[str, Any]) -> Any:
    text = ast.unparse(node)
    first = text.partition(".")[0].partition("[")[0]
    if first == "params":
        return row["params"].get(text[-1] if "." in text else text[-3])
    if first == "metrics":
        name = "m.b" if "m.b" in text else "m.a"
        field = text.rpartition(".")[2]
        found = row["metrics"].get(name, {}).get(field if field in ("max", "count") else "last")
        return float(found) if isinstance(found, str) else found
    if first in row:
        return row[first]
    return eval(text, {"float": float})


# ---------------------------------------------------------------------------- the property


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, expression=EXPRESSIONS)
@example(rows=[{"params": {"z": [None]}}], expression="params.x in params['z']")
@example(rows=[{"metrics": {"m.a": metric("NaN")}}], expression="metrics.m.a and not note")
def test_sql_finds_what_python_says(index: Index, rows: list[Any], expression: str) -> None:
    given_rows = [{**each, "run_id": f"r{at}"} for at, each in enumerate([*SEEN, *rows])]
    list(index.execute("DELETE FROM runs"))
    put_all(index, given_rows)
    plain = {"params": {}, "metrics": {}, "note": None, "seconds": 12.5, "dirty": 0}
    tree = ast.parse(expression, mode="eval").body
    expected = {row["run_id"] for row in given_rows if holds(tree, {**plain, **row})}
    found = {row["run_id"] for row in select(index, where=expression)}
    assert found == expected, json.dumps(
        [row for row in given_rows if row["run_id"] in found ^ expected]
    )
