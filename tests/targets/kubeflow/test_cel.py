"""Conditions in CEL, decided by an implementation of CEL, beside what Python says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada_backends.kubeflow import cel
from levada_compiler.diagnostics.diagnostic import Span
from levada_compiler.program.expression_text import ExpressionWriter
from levada_compiler.program.ir import BoolOp, Compare, Const, Expr, Param, Program, Unary

from tests.engines.kubeflow import Kubeflow

SPAN = Span("p.py", 1, 1, 1, 1)
TYPES = {"number": "int", "real": "float", "name": "str", "flag": "bool", "other": "json"}
numbers = st.one_of(st.integers(-3, 3), st.integers(-(2**53), 2**53))
reals = st.one_of(st.sampled_from([0.0, -0.0, 0.1, 1e300, 5e-324]), st.floats(allow_nan=False))
reals = reals.filter(lambda value: value not in (float("inf"), -float("inf")))
names = st.text(st.sampled_from("ab cA1_"), max_size=3)
OPS = ("==", "!=", "<", "<=", ">", ">=")
constants = st.one_of(numbers, reals, names, st.booleans(), st.none())
parameters = st.fixed_dictionaries(
    {"number": numbers, "real": reals, "name": names, "flag": st.booleans(), "other": names}
)


def compared(draw: Any) -> Expr:
    sides: list[Expr] = [
        Param(draw(st.sampled_from([*TYPES])), SPAN),
        Const(draw(constants), SPAN),
    ]
    if draw(st.booleans()):
        sides.reverse()
    return Compare((sides[0], sides[1]), (draw(st.sampled_from(OPS)),), SPAN)


@st.composite
def conditions(draw: Any, depth: int = 2) -> Expr:
    form = draw(st.sampled_from(["compare", "param", "not", "and", "or"] if depth else ["compare"]))
    if form == "compare":
        return compared(draw)
    if form == "param":
        return Param(draw(st.sampled_from([*TYPES])), SPAN)
    parts = tuple(draw(conditions(depth - 1)) for _ in range(1 if form == "not" else 2))
    return Unary("not", parts[0], SPAN) if form == "not" else BoolOp(form, parts, SPAN)


WRITER = ExpressionWriter(Program("p", "", "p.py", "", (), (), (), (), (), None, SPAN))


@pytest.mark.engine
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(conditions(), parameters), min_size=60, max_size=60))
def test_cel_decides_as_python_does(
    kubeflow: Kubeflow, cases: list[tuple[Expr, dict[str, Any]]]
) -> None:
    asked, expected = [], []
    for expression, given_ in cases:
        found = cel.condition(expression, TYPES)
        if found is None:
            continue
        assert cel.problem(found.text, given_) == ""
        asked.append((found.text, {name: given_[name] for name in found.parameters}))
        text = WRITER.text(expression).replace("params.", "")
        expected.append(bool(eval(text, {}, dict(given_))))
    assert kubeflow.cel(asked) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "inputs.parameter_values['depth']",
        "inputs.parameter_values['depth'] > ",
        "inputs.parameter_values['depth'] > 3 &&",
        "inputs.parameter_values['width'] > 3.0",
        "inputs.parameter_values['depth'] > 'a' 'b'",
        "depth > 3.0",
        "inputs.parameter_values['depth'] % 2.0 == 1.0",
        "(inputs.parameter_values['depth'] == 3.0",
        "inputs.parameter_values['depth'] == 'it's'",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    assert cel.problem(text, {"depth": {}})
