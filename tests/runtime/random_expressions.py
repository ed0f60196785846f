"""Random calls, operators and formats as text, and the names that Python needs to evaluate them."""

from __future__ import annotations

import datetime
import decimal
import fractions
import itertools
import json
import math
import os
import pathlib
import statistics
import uuid

from hypothesis import strategies as st
from levada.operations import FUNCTIONS, METHODS
from levada.operations.operators import BINARY_SYMBOLS, COMPARE_SYMBOLS

#: What the names of functions mean in Python.
NAMES: dict[str, object] = {
    "itertools": itertools,
    "json": json,
    "math": math,
    "os": os,
    "statistics": statistics,
    "Decimal": decimal.Decimal,
    "Fraction": fractions.Fraction,
    "Path": pathlib.Path,
    "PurePosixPath": pathlib.PurePosixPath,
    "UUID": uuid.UUID,
    **{name: getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta")},
    "timezone": datetime.timezone,
}
#: The same names, as a module imports them.
IMPORTS = """\
import itertools, json, math, os, statistics
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from uuid import UUID
"""

small = st.integers(-12, 60)
integers = st.one_of(small, st.sampled_from([2**31, -(2**63), 2**64 + 1, 10**30]))
floats = st.one_of(
    st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
    st.sampled_from([0.0, -0.0, 0.1, 1e300, 5e-324, 2.5, 3.5]),
).map(repr)
texts = st.one_of(
    st.text(alphabet="aAbB1 ,.-é\n\t", max_size=8),
    st.sampled_from(["12", "-3.5", "1e5", "inf", "2024-02-29", "12:30", "utf-8", "%Y-%m", "1/3"]),
    st.sampled_from(["a,b,,c", "ß", "{}|{0}", "{x:>5}", "{!r}", "%s", "%5.1f|%s", "[1, {}]"]),
    st.sampled_from(["0.1", "ignore", "little", "12345678123456781234567812345678", "5" * 30]),
).map(repr)
data = st.binary(max_size=6).map(repr)
#: Members that Python goes over in the order of their size, and expressions as well.
sets = st.frozensets(st.integers(0, 7), max_size=5).map(
    lambda members: "{" + ", ".join(map(str, sorted(members))) + "}" if members else "set()"
)
dates = st.sampled_from(
    [
        "date(2024, 2, 29)",
        "datetime(2023, 1, 19, 12, 30)",
        "datetime(2023, 1, 19, tzinfo=timezone.utc)",
        "time(12, 30, 1)",
        "timedelta(days=3, seconds=7)",
        "timedelta(hours=-5)",
        "timezone.utc",
        "timezone(timedelta(hours=2))",
    ]
)
numbers = st.one_of(
    small.map(str),
    integers.map(str),
    floats,
    st.sampled_from(["True", "False", "1j", "(2+3j)", "Decimal('1.50')", "Decimal('-7')"]),
    st.sampled_from(["Fraction(1, 3)", "Fraction(-7, 2)", "float('nan')", "float('inf')"]),
)
others = st.sampled_from(
    [
        "None",
        "Path('a/b.tar.gz')",
        "Path('/x') / 'y'",
        "Path()",
        "UUID(int=5)",
        "range(5)",
        "range(10, 0, -3)",
        "dict(a=1).keys()",
        "zip([1, 2], 'ab')",
        "(x for x in [3, 1])",
        "reversed([1, 2])",
    ]
)


def joined(parts: list[str], before: str, after: str) -> str:
    return f"{before}{', '.join(parts)}{after}"


atoms = st.one_of(numbers, numbers, texts, texts, data, dates, others)
pairs = st.tuples(st.one_of(texts, small.map(str)), atoms).map(": ".join)


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: joined(parts, "[", "]")),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined(parts, "(", ")")),
        st.lists(numbers, max_size=5).map(lambda parts: joined(parts, "[", "]")),
        st.lists(texts, max_size=4).map(lambda parts: joined(parts, "[", "]")),
        st.lists(pairs, max_size=3).map(lambda parts: joined(parts, "{", "}")),
        sets,
        st.sampled_from(["()", "[(1, 2), (3, 4)]", "[[1], [2, 3]]", "frozenset([1, 2])"]),
    )


values = st.one_of(atoms, containers(atoms))
arguments = st.lists(values, max_size=3)
keywords = st.sampled_from(
    [""] * 12
    + ["key=len", "key=str.lower", "key=abs", "default=7", "reverse=True", "start=1", "strict=True"]
    + ["repeat=2", "r=2", "initial=0", "ndigits=1", "sep='-'", "maxsplit=1", "sort_keys=True"]
    + ["indent=2", "days=1", "year=2020", "n=3", "ge=1", "a=1, b=2", "x='q'", "*[1, 2]", "**{}"]
)


def call(callee: str, given: list[str], more: str) -> str:
    return f"{callee}({', '.join([*given, *filter(None, [more])])})"


#: Functions whose results differ by machine, or are too large for what is drawn here.
_LEFT_OUT = ("math.factorial", "math.perm", "math.comb")
calls = st.builds(
    call, st.sampled_from(sorted(set(FUNCTIONS) - set(_LEFT_OUT))), arguments, keywords
)
combinations = st.builds(
    call, st.sampled_from(_LEFT_OUT), st.lists(small.map(str), max_size=2), st.just("")
)
receivers = {
    "str": texts,
    "bytes": data,
    "int": integers.map(lambda number: f"({number})"),
    "bool": st.just("True"),
    "float": floats.map("({})".format),
    "complex": st.just("(2+3j)"),
    "list": st.lists(values, max_size=3).map(lambda parts: joined(parts, "[", "]")),
    "tuple": st.just("(1, 'a', 1)"),
    "range": st.sampled_from(["range(5)", "range(10, 0, -3)"]),
    "dict": st.lists(pairs, max_size=3).map(lambda parts: joined(parts, "{", "}")),
    "set": sets,
    "frozenset": sets.map("frozenset({})".format),
    "date": st.just("date(2024, 2, 29)"),
    "datetime": dates.filter(lambda text: text.startswith("datetime")),
    "time": st.just("time(12, 30, 1)"),
    "timedelta": st.just("timedelta(days=3, seconds=7)"),
    "timezone": st.just("timezone.utc"),
    "Path": others.filter(lambda text: text.startswith("Path")).map("({})".format),
    "Decimal": st.sampled_from(["Decimal('1.50')", "Decimal('-7')", "Decimal('NaN')"]),
    "Fraction": st.sampled_from(["Fraction(1, 3)", "Fraction(-7, 2)"]),
}
methods = st.sampled_from(
    sorted((kind, name) for kind in receivers for name in METHODS[kind])
).flatmap(
    lambda found: st.builds(
        lambda receiver, given, more: call(f"{receiver}.{found[1]}", given, more),
        receivers[found[0]],
        arguments,
        keywords,
    )
)
#: Operators whose results are too large for large numbers.
_GROWING = {"**", "<<", "*"}
modest = st.one_of(
    small.map(str),
    texts,
    data,
    sets,
    dates,
    st.sampled_from(["2.5", "-0.5", "True", "Decimal('1.5')", "Fraction(-7, 2)", "1j", "None"]),
    st.sampled_from(["[1, 2]", "(1,)", "[]", "{'a': 1}", "range(3)", "Path('a')", "1000"]),
)
binary = st.one_of(
    st.builds(
        "({} {} {})".format,
        values,
        st.sampled_from(sorted(set(BINARY_SYMBOLS.values()) - _GROWING)),
        values,
    ),
    st.builds("({} {} {})".format, modest, st.sampled_from(sorted(_GROWING)), small.map(str)),
    st.builds("({} {} {})".format, modest, st.sampled_from(sorted(_GROWING)), modest),
)
comparisons = st.builds(
    "({} {} {})".format,
    values,
    st.sampled_from(sorted(set(COMPARE_SYMBOLS.values()) - {"is", "is not"})),
    values,
)
unary = st.builds("({} {})".format, st.sampled_from(["-", "+", "~", "not"]), values)
indexes = st.one_of(
    values, small.map(str), st.sampled_from(["1:", "::-1", ":-1", "0:10:2", "::0", "'a':"])
)
subscripts = st.builds("({})[{}]".format, values, indexes)
specifications = st.sampled_from(
    (
        *("", ">8", "08.3f", "<5d", "^+9.2e", "x", "#b", ",", "%", ".1%", "_d", "s", "c", "n"),
        *("%Y-%m", "*^12", "=+7", "z", ".3", "g", "é>4", "1000", "0=5"),
    )
)
conversions = st.sampled_from(["", "!s", "!r", "!a"])
#: A value of each plain type, by the name of the type in the tables.
EXAMPLES = {
    "str": "'a'",
    "bytes": "b'a'",
    "bool": "True",
    "int": "1",
    "float": "1.5",
    "complex": "1j",
    "list": "[]",
    "tuple": "()",
    "range": "range(1)",
    "dict": "{}",
    "set": "set()",
    "frozenset": "frozenset()",
    "date": "date(2024, 1, 1)",
    "datetime": "datetime(2024, 1, 1)",
    "time": "time(1)",
    "timedelta": "timedelta(1)",
    "timezone": "timezone.utc",
    "Path": "Path('a')",
    "UUID": "UUID(int=1)",
    "Decimal": "Decimal(1)",
    "Fraction": "Fraction(1)",
}
