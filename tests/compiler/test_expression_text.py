"""The text of an expression, evaluated by the runtime, means what Python means by it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada import expressions
from levada.store import open_store
from levada_compiler.diagnostics.diagnostic import Span
from levada_compiler.program import ir
from levada_compiler.program.expression_text import ExpressionWriter, failing_nodes

AT = Span("p.py", 1, 1, 1, 2)
PARAMETERS: dict[str, Any] = {"n": 3, "s": "text", "xs": [1, 2, 3], "d": {"a": 1, "b": [4]}}
STORE = open_store("/nonexistent")

CONSTANTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["{", "}", "'", '"', "\\", "\n", "\0", "\ud800", "é", "🐎", "{{x}}", "a'b\"c"]),
)
BINARY = ["+", "-", "*", "/", "//", "%", "**", "|", "&", "^", "<<", ">>"]
COMPARE = ["<", "<=", ">", ">=", "==", "!=", "in", "not in"]


def const(value: ir.Scalar) -> ir.Expr:
    return ir.Const(value, AT)


def extended(inner: st.SearchStrategy[ir.Expr]) -> st.SearchStrategy[ir.Expr]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    fields = st.builds(
        ir.Field,
        inner,
        st.sampled_from(["", "s", "r", "a"]),
        st.sampled_from(["", ">8", "<12", "é^9", '"<7']),
        st.just(AT),
    )
    return st.one_of(
        st.builds(ir.Unary, st.sampled_from(["not", "-", "+", "~"]), inner, st.just(AT)),
        st.builds(ir.Binary, st.sampled_from(BINARY), inner, inner, st.just(AT)),
        st.builds(ir.BoolOp, st.sampled_from(["and", "or"]), several, st.just(AT)),
        several.flatmap(
            lambda operands: st.builds(
                ir.Compare,
                st.just(operands),
                st.tuples(*[st.sampled_from(COMPARE)] * (len(operands) - 1)),
                st.just(AT),
            )
        ),
        st.builds(  # which object another constant is, is nobody's promise
            ir.Compare,
            st.tuples(inner, st.sampled_from([None, True, False]).map(const)),
            st.tuples(st.sampled_from(["is", "is not"])),
            st.just(AT),
        ),
        st.builds(
            ir.Display,
            st.sampled_from(["list", "tuple", "set"]),
            st.lists(inner, max_size=3).map(tuple),
            st.just(AT),
        ),
        st.builds(
            ir.DictDisplay, st.lists(st.tuples(inner, inner), max_size=2).map(tuple), st.just(AT)
        ),
        st.builds(
            ir.Subscript,
            inner,
            inner | st.builds(ir.Slice, inner, inner, inner, st.just(AT)),
            st.just(AT),
        ),
        st.builds(ir.Format, st.lists(st.text() | fields, max_size=3).map(tuple), st.just(AT)),
        st.builds(ir.Concat, several, st.just(AT)),
        st.builds(ir.Conditional, inner, inner, inner, st.just(AT)),
        st.builds(applied, st.sampled_from(["len", "list", "str", "max", "sorted"]), inner),
        st.builds(applied, st.just("tuple"), st.builds(ir.Starred, inner, st.just(AT))),
        st.builds(
            ir.Method,
            inner,
            st.sampled_from(["count", "get", "split", "index"]),
            inner.map(lambda value: ((None, value),)),
            st.just(AT),
        ),
        st.builds(comprehended, st.sampled_from(["list", "set", "dict"]), inner, inner),
        st.builds(sorted_by, inner, inner),
    )


def applied(function: str, argument: ir.Expr) -> ir.Expr:
    return ir.Apply(function, ((None, argument),), AT)


def comprehended(kind: str, items: ir.Expr, other: ir.Expr) -> ir.Expr:
    item = ir.Item("comp", "it", AT)
    value = ir.Display("tuple", (item, other), AT)
    clause = ir.Clause(ir.Target(("it",), is_tuple=False), items, (item,))
    return ir.Comprehension("comp", kind, value, (clause,), AT)


def sorted_by(items: ir.Expr, other: ir.Expr) -> ir.Expr:
    body = ir.Compare((ir.Item("lambda", "key", AT), other), ("==",), AT)
    key = ir.Lambda("lambda", ("key",), body, AT)
    return ir.Apply("sorted", ((None, items), ("key", key)), AT)


EXPRESSIONS = st.recursive(
    CONSTANTS.map(const) | st.sampled_from(sorted(PARAMETERS)).map(lambda n: ir.Param(n, AT)),
    extended,
    max_leaves=8,
)


class RefusedError(Exception):
    """The expression is too large for the runtime."""


def meaning(expr: ir.Expr) -> Any:  # noqa: C901 - one case a form
    """What Python gives for an expression, told from the IR and not from its text."""
    match expr:
        case ir.Const(value=value):
            return value
        case ir.Param(name=name):
            return PARAMETERS[name]
        case ir.Unary(op=op, operand=operand):
            return operate(f"{op} a", a=meaning(operand))
        case ir.Binary(op=op, left=left, right=right):
            return operate(f"a {op} b", a=meaning(left), b=meaning(right))
        case ir.BoolOp(op=op, operands=operands):
            return chosen(op, operands)
        case ir.Compare(operands=operands, ops=ops):
            return chain(operands, ops)
        case ir.Display(kind=kind, items=items):
            return {"list": list, "tuple": tuple, "set": set}[kind]([meaning(i) for i in items])
        case ir.Conditional(test=test, then=then, otherwise=otherwise):
            return meaning(then if meaning(test) else otherwise)
        case ir.Apply(arguments=((None, items), ("key", ir.Lambda(body=ir.Compare() as body)))):
            return sorted(each(items), key=lambda item: item == meaning(body.operands[1]))
        case ir.Apply(function=function, arguments=((None, ir.Starred(value=value)),)):
            return operate(f"{function}(*a)", a=each(value))
        case ir.Apply(function=function, arguments=((None, argument),)):
            is_kept = function in ("str", "len")
            return operate(f"{function}(a)", a=meaning(argument) if is_kept else each(argument))
        case ir.Method(value=value, name=name, arguments=((None, argument),)):
            return operate(f"a.{name}(b)", a=meaning(value), b=meaning(argument))
        case ir.Comprehension(kind=kind, clauses=(clause,)):
            other = expr.element.children()[1]
            rows = [(item, meaning(other)) for item in each(clause.items) if item]
            return {"list": list, "set": set, "dict": dict}[kind](rows)
        case ir.DictDisplay(items=items):
            pairs = [(meaning(key), meaning(value)) for key, value in items]
            return dict(pairs)  # all of them before any key is hashed
        case ir.Subscript(value=value, index=index):
            return operate("a[b]", a=meaning(value), b=meaning(index))
        case ir.Slice(lower=lower, upper=upper, step=step):
            return slice(meaning(lower), meaning(upper), meaning(step))
        case ir.Concat(parts=parts):
            return [item for part in parts for item in each(part)]
        case ir.Format(parts=parts):
            return "".join(p if isinstance(p, str) else formatted(p) for p in parts)
    raise AssertionError(expr)


def each(expr: ir.Expr) -> Any:
    """What is gone over; of a set in the order that it has in every process."""
    value = meaning(expr)
    is_set = isinstance(value, set)
    return sorted(value, key=lambda item: (type(item).__name__, repr(item))) if is_set else value


def operate(text: str, **operands: Any) -> Any:
    numbers = [value for value in operands.values() if isinstance(value, int)]
    if any(op in text for op in ("**", "<<", "*", "%")) and any(abs(n) > 1000 for n in numbers):
        raise RefusedError
    return eval(text, {}, operands)


def chosen(op: str, operands: tuple[ir.Expr, ...]) -> Any:
    for operand in operands[:-1]:
        value = meaning(operand)
        if bool(value) is (op == "or"):
            return value
    return meaning(operands[-1])


def chain(operands: tuple[ir.Expr, ...], ops: tuple[str, ...]) -> Any:
    left, result = meaning(operands[0]), True
    for op, operand in zip(ops, operands[1:], strict=True):
        right = meaning(operand)
        result = operate(f"a {op} b", a=left, b=right)
        if not result:
            return result
        left = right
    return result


def formatted(field: ir.Field) -> str:
    convert = {"": lambda v: v, "s": str, "r": repr, "a": ascii}[field.conversion]
    return format(convert(meaning(field.value)), field.format)


def outcome(compute: Any) -> Any:
    try:
        return same_form(compute())
    except (RefusedError, expressions.ExpressionError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever Python raises
        return type(error)


def same_form(value: Any) -> Any:
    """Equal for values of the same type and content; NaN is itself and 0.0 is not -0.0."""
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else (value, math.copysign(1, value)))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [same_form(item) for item in value])
    if isinstance(value, dict):
        return ("dict", [(same_form(k), same_form(v)) for k, v in value.items()])
    if isinstance(value, set):
        return ("set", sorted(map(repr, map(same_form, value))))
    return (type(value).__name__, value)


NOTHING = ir.Result((), (), "none", AT)


def writer(*body: ir.Node) -> ExpressionWriter:
    return ExpressionWriter(
        ir.Program("p", "", "p.py", "sha256:0", (".",), (), (), (), tuple(body), NOTHING, AT)
    )


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(EXPRESSIONS)
def test_the_text_means_the_expression(expr: ir.Expr) -> None:
    scope = expressions.Scope(PARAMETERS, {}, STORE)
    text = writer().text(expr)
    try:
        expected = outcome(lambda: meaning(expr))
        found = outcome(lambda: expressions.value(text, scope))
    except (RefusedError, expressions.ExpressionError) as error:
        if "is no expression" in str(error):
            raise
        return
    assert found == expected, text


def call(name: str) -> ir.Call:
    return ir.Call(name, "m:f", (), (), (), AT)


def output(name: str) -> ir.Expr:
    return ir.Output(name, AT)


def loop(name: str, target: ir.Target, items: ir.Expr, *body: ir.Node) -> ir.Loop:
    condition = ir.Compare((ir.Item(name, "d", AT), const(2)), (">",), AT)
    return ir.Loop(name, target, items, (condition,), body, (), AT)


D = ir.Target(("d",), is_tuple=False)
BRANCH = ir.Branch(
    "if_1",
    ir.Compare((ir.Attribute(output("best"), "auc", AT), const(0.9)), (">",), AT),
    (call("deploy"),),
    (call("notify"),),
    (),
    AT,
)
GUARD = ir.Guard(
    "try_1", (call("fetch"), BRANCH, call("parse")), (call("mend"),), (call("close"),), (), AT
)
PAIRS = ir.Target((ir.Target(("i", "j"), is_tuple=True), "d"), is_tuple=True)
NESTED = loop(
    "for_1",
    D,
    ir.Param("depths", AT),
    call("train"),
    ir.Loop("for_2", ir.Target(("k",), is_tuple=False), output("xs"), (), (call("fit"),), (), AT),
)


@pytest.mark.parametrize(
    ("body", "expr", "text"),
    [
        ([], ir.Attribute(output("pair"), "0", AT), "pair._0"),
        ([], ir.Attribute(const(1), "real", AT), "(1).real"),
        ([], ir.Apply("range", ((None, const(3)),), AT), "range(3)"),
        (
            [],
            ir.Apply("enumerate", ((None, output("x")), ("start", const(1))), AT),
            "enumerate(x, start=1)",
        ),
        (
            [BRANCH],
            ir.Select("if_1", output("deploy"), output("notify"), AT),
            "(deploy if if_1 else notify)",
        ),
        (
            [GUARD],
            ir.Recover("try_1", output("parse"), output("mend"), AT),
            '(mend if failed("try_1") else parse)',
        ),
        (
            [NESTED],
            ir.Collect("for_1", output("train"), False, AT),
            "[train[d] for d in params.depths if d > 2]",
        ),
        (
            [NESTED],
            ir.Collect("for_1", ir.Collect("for_2", output("fit"), False, AT), True, AT),
            "flat([[fit[d, k] for k in xs] for d in params.depths if d > 2])",
        ),
        (
            [loop("for_1", PAIRS, output("x"), call("f"))],
            ir.Collect("for_1", output("f"), False, AT),
            "[f[i] for (i, j), d in x if d > 2]",
        ),
    ],
)
def test_text(body: list[ir.Node], expr: ir.Expr, text: str) -> None:
    known = [call(name) for name in ("best", "pair", "x", "xs", "parse")]
    given = {node.id for node in body}
    assert writer(*[c for c in known if c.id not in given], *body).text(expr) == text


def test_branches_and_guards_are_asked_for_by_their_names() -> None:
    chosen = ir.Select("if_1", output("deploy"), output("notify"), AT)
    saved = ir.Recover("try_1", output("parse"), output("mend"), AT)
    use = ir.Call(
        "use", "m:f", (ir.Argument("x", chosen, AT), ir.Argument("y", saved, AT)), (), (), AT
    )
    assert writer(call("best"), GUARD, use).definitions() == {
        "if_1": "best.auc > 0.9",
        "try_1": 'failed("fetch", "if_1", "deploy", "notify", "parse")',
    }


def test_a_value_that_is_used_twice_has_its_name() -> None:
    twice = ir.Binary("+", ir.Use("score", AT), ir.Use("score", AT), AT)
    once = ir.Unary("-", ir.Use("other", AT), AT)
    values = [
        ir.Value("score", ir.Attribute(output("best"), "auc", AT), False, False, (), AT),
        ir.Value("other", ir.Attribute(output("best"), "f1", AT), False, False, (), AT),
    ]
    use = ir.Call(
        "use", "m:f", (ir.Argument("x", twice, AT), ir.Argument("y", once, AT)), (), (), AT
    )
    written = writer(call("best"), *values, use)
    assert written.definitions() == {"score": "best.auc"}
    assert (written.text(twice), written.text(once)) == ("score + score", "-best.f1")


def test_a_key_comes_before_its_value() -> None:
    with pytest.raises(TypeError):
        expressions.value('{-None: ("")[False]}', expressions.Scope({}, {}, STORE))


def test_an_integer_beyond_the_limit_of_digits() -> None:
    value = -(10**5000)
    scope = expressions.Scope({}, {}, STORE)
    assert expressions.value(writer().text(const(value)), scope) == value


def test_failures_that_a_guard_catches_do_not_leave_the_region() -> None:
    # What `finally` raises comes first: it takes the place of what was raised before.
    assert failing_nodes((GUARD,)) == ("close", "mend")
