"""The evaluator against Python itself: the same text, the same meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada import expressions, values
from levada.expressions import ExpressionError, Reference, Scope
from levada.store import Store, open_store


class Report(NamedTuple):
    label: str
    auc: float


PARAMETERS = {
    "depth": 4,
    "depths": [4, 8, 16],
    "name": "Señor 'X'",
    "options": {"lr": 0.1, "x y": None},
    "none": None,
    "flag": False,
    "huge": 2**70,
    "nan": math.nan,
    "set": {1, 2, 3},
}
OUTPUTS = {
    "train": Report("best", 0.93),
    "pair": (1, [2, 3]),
    "sub.train": Report("sub", 0.5),
    "train_list": [1, 2.5, "three"],
    "reports": [Report("a", 0.1), Report("b", 0.2)],
}


class Nodes:
    """What the nodes gave, by id and by the indexes of their loops."""

    def __init__(self, store: Store, outputs: Mapping[object, object]) -> None:
        self.store = store
        self.outputs = outputs
        self.failures: set[tuple[str, tuple[int, ...]]] = set()

    def __contains__(self, node: object) -> bool:
        return any(key == node or key[0] == node for key in self.outputs)

    def output(self, node: str, indexes: tuple[int, ...]) -> object:
        found = self.outputs[node, indexes] if indexes else self.outputs[node]
        return {"$artifact": values.save(found, self.store).as_json()}

    def failed(self, node: str, indexes: Mapping[str, int]) -> bool:
        return (node, tuple(indexes.values())) in self.failures


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("store")))


@pytest.fixture
def scope(store: Store) -> Scope:
    trees = {name: values.encode(value, store) for name, value in PARAMETERS.items()}
    return Scope(trees, Nodes(store, OUTPUTS), store)


def python_names() -> dict[str, object]:
    nested = SimpleNamespace(train=OUTPUTS["sub.train"])
    plain = {name: value for name, value in OUTPUTS.items() if "." not in name}
    return {**plain, "sub": nested, "params": SimpleNamespace(**PARAMETERS)}


def outcome(compute) -> tuple[str, str]:
    """A value with its type, or the exception's type."""
    try:
        found = compute()
    except Exception as error:  # noqa: BLE001  whatever Python raises
        return "raises", type(error).__name__
    if callable(found):
        return "method", found.__name__
    return type(found).__name__, repr(found)


def fenced_lines(page: Path) -> list[str]:
    """The lines of all code blocks of a page."""
    lines = page.read_text().splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    pairs = zip(fences[::2], fences[1::2], strict=True)
    return [line for start, end in pairs for line in lines[start + 1 : end]]


@pytest.mark.parametrize("text", fenced_lines(Path(__file__).parent / "expressions.md"))
def test_means_what_python_means(text, scope):
    expected = outcome(lambda: eval(text, python_names()))
    assert outcome(lambda: expressions.value(text, scope)) == expected


NUMBERS = st.sampled_from(["0", "1", "-2", "3", "2.5", "True", "None", "'a'", "params.depth"])
SYMBOLS = ["+", "-", "*", "/", "//", "%", "<", "==", "!=", "and", "or", "in"]
OPERATORS = st.sampled_from(SYMBOLS)


def wider(inner):
    return st.one_of(
        st.builds("({} {} {})".format, inner, OPERATORS, inner),
        st.builds("({} < {} <= {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} is None)".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("[x for x in [{}, {}] if {}]".format, inner, inner, inner),
        st.builds("[(x, y) for x in [{}] for y in [x, {}]][0]".format, inner, inner),
        st.builds('f"{{{}!r:>4}}"'.format, st.sampled_from(["1", "params.depth", "params.name"])),
        st.builds("[{}, {}][{}]".format, inner, inner, inner),
    )


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(text=st.recursive(NUMBERS, wider, max_leaves=12))
def test_means_what_python_means_for_any_expression(text, store):
    trees = {name: values.encode(value, store) for name, value in PARAMETERS.items()}
    scope = Scope(trees, Nodes(store, OUTPUTS), store)
    expected = outcome(lambda: eval(text, python_names()))
    assert outcome(lambda: expressions.value(text, scope)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "train.__class__.__bases__",
        "f'{train.__class__}'",
        "params.__dict__",
        "open('x')",
        "eval('1')",
        "print(1)",
        "train.label.upper",
        "train.label.format_map({})",
        "params.depths.append(1)",
        "lambda: 1",
        "(x := 1)",
        "await x",
        "yield 1",
        "unknown",
        "params",
        "params.unknown",
        "sub",
        "1 +",
        "",
        "x = 1",
        "\0",
    ],
)
def test_what_is_no_expression_of_levada(text, scope):
    with pytest.raises(ExpressionError):
        expressions.value(text, scope)


@pytest.mark.parametrize(
    "text",
    [
        "10 ** 10 ** 10",
        "1 << 10 ** 10",
        "'a' * 10 ** 12",
        "[1] * 10 ** 12",
        "10 ** 12 * [1]",
        "[x for x in range(10 ** 12)]",
        "[*range(10 ** 40)]",
        "f'{1:1000000000}'",
        "'%1000000000d' % 1",
        "'%*d' % (10 ** 10, 1)",
        "(" * 500 + ")" * 500,
        "+".join(["1"] * 100_000),
        "[a for a in range(10000) for b in range(10000)]",
    ],
)
def test_what_grows_beyond_all_bounds_is_refused(text, scope):
    with pytest.raises(ExpressionError):
        expressions.value(text, scope)


@pytest.mark.parametrize(
    "text",
    [
        "pair",
        "train",
        "train_list",
        "params.depths",
        "params.name",
        "params.options",
        "params.depth",
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_unpacking_is_that_of_python(text: str, count: int, scope: Scope) -> None:
    def unpack() -> object:
        names = "".join(f"x{i}, " for i in range(count))
        found = python_names()
        exec(f"{names} = {text}", found)
        return found["x0"]

    assert outcome(lambda: expressions.value(f"{text}._0of{count}", scope)) == outcome(unpack)


@pytest.mark.parametrize("text", ["train_list", "params.depths", "params.name", "params.depth"])
@pytest.mark.parametrize("targets", ["x0, *x1", "*x0, x1", "x0, *x1, x2", "*x0,"])
def test_unpacking_with_a_star_is_that_of_python(text: str, targets: str, scope: Scope) -> None:
    names = [name.strip() for name in targets.split(",") if name.strip()]
    star = next(at for at, name in enumerate(names) if name.startswith("*"))

    def unpack() -> object:
        found = python_names()
        exec(f"{targets} = {text}", found)
        return [found[name.strip("*")] for name in names]

    def ours() -> object:
        among = f"of{len(names)}at{star}"
        return [expressions.value(f"{text}._{at}{among}", scope) for at in range(len(names))]

    assert outcome(ours) == outcome(unpack)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("params.depth + train.auc", {"params.depth", "train.auc"}),
        ("[train[d] for d in params.depths if d > pair._0]", {"train", "params.depths", "pair._0"}),
        ("(a if failed('b', 'c[d]') else d)", {"a", "b", "c", "d"}),
        ("[x for x in x]", {"x"}),
        ("f'{a!r:{b}}'", {"a", "b"}),
        ("len(a) + math.floor(b.c) + math.pi", {"a", "b.c"}),
        ("a.b.lower() + sorted(c, key=len)[0]", {"a.b", "c"}),
        ("{k: v for k, v in a.items() if k}", {"a"}),
        ("any(x > y for x in xs)", {"xs", "y"}),
        ("dict(a, **b)", {"a", "b"}),
        ("[len for len in x]", {"x"}),
        ("[a for a, *rest in x if rest]", {"x"}),
        ("1", set()),
    ],
)
def test_what_a_text_refers_to(text, names):
    assert expressions.references(text) == names


class TestReferences:
    """What is only passed on is not loaded."""

    def test_an_output_stays_a_reference(self, scope):
        assert isinstance(expressions.evaluate("train", scope), Reference)

    def test_a_tree_keeps_the_artifact(self, scope):
        tree = expressions.tree("[train, {'auc': train.auc}]", scope)
        artifact = values.save(OUTPUTS["train"], scope.store).as_json()
        assert tree == [{"$artifact": artifact}, {"auc": 0.93}]

    def test_a_value_that_cannot_be_loaded_can_be_passed_on(self, scope):
        lost = {"$artifact": {**values.save(1, scope.store).as_json(), "digest": f"sha256:{0:064}"}}
        lost_scope = Scope({"lost": lost}, scope.nodes, scope.store)
        assert expressions.tree("[params.lost for _ in [1, 2]]", lost_scope) == [lost, lost]

    def test_an_item_of_a_tuple_by_its_name(self, scope):
        assert expressions.value("pair._1", scope) == [2, 3]

    def test_a_named_output_of_a_tuple(self, store):
        artifact = values.save((1, 0.5), store)
        artifact.meta = {"outputs": ["model", "auc"]}
        tree = {"$artifact": artifact.as_json()}
        scope = Scope({"pair": tree, "pairs": [tree]}, Nodes(store, {}), store)
        assert expressions.value("params.pair.auc", scope) == 0.5
        assert expressions.value("[p.auc for p in params.pairs]", scope) == [0.5]


class TestLoops:
    """An output of a node in loops is that of the iteration, not that of the value."""

    def scope(self, store: Store) -> Scope:
        trained = {("train", (0,)): "a", ("train", (1,)): "b"}
        tuned = {("tune", (d, k)): f"{d}{k}" for d in range(2) for k in range(2)}
        return Scope({"ds": [7, 7], "ks": [1, 2]}, Nodes(store, {**trained, **tuned}), store)

    def test_equal_items_are_different_iterations(self, store):
        assert expressions.value("[train[d] for d in params.ds]", self.scope(store)) == ["a", "b"]

    def test_the_index_counts_what_the_filters_let_by(self, store):
        text = "[train[i] for i, d in enumerate([1, 7, 1, 7]) if d == 7]"
        assert expressions.value(text, self.scope(store)) == ["a", "b"]

    def test_nested_loops(self, store):
        scope = self.scope(store)
        text = "[[tune[d, k] for k in params.ks] for d in params.ds]"
        assert expressions.value(text, scope) == [["00", "01"], ["10", "11"]]
        assert expressions.value(f"flat({text})", scope) == ["00", "01", "10", "11"]
        text = "[tune[d, k] for d in params.ds for k in params.ks if k == 2]"
        assert expressions.value(text, scope) == ["00", "10"]

    def test_iterations_bind_and_count(self, store):
        found = list(
            expressions.iterations("i, d", "enumerate(params.ks)", ["d > 1"], self.scope(store))
        )
        assert len(found) == 1
        inner = self.scope(store).within(found[0])
        assert expressions.value("(i, d, train[i])", inner) == (1, 2, "a")

    def test_failed_asks_for_this_iteration(self, store):
        scope = self.scope(store)
        scope.nodes.failures.add(("train", (1,)))
        text = "[('stand-in' if failed('train') else train[d]) for d in params.ds]"
        assert expressions.value(text, scope) == ["a", "stand-in"]
        outer = "[[failed('train[d]') for k in params.ks] for d in params.ds]"
        assert expressions.value(outer, scope) == [[False, False], [True, True]]


class TestDefinitions:
    """A name may stand for the value of another text in the same scope."""

    def scope(self, store: Store, definitions: Mapping[str, str], **parameters: object) -> Scope:
        outputs = {"train": Report("a", 0.5), ("tune", (0,)): 10, ("tune", (1,)): 20}
        return Scope(parameters, Nodes(store, outputs), store, definitions=definitions)

    @pytest.mark.parametrize(
        ("definitions", "text", "expected"),
        [
            ({"score": "params.n * 2"}, "score + 1", 7),
            ({"sub.if_1": "[1, 2]"}, "sub.if_1[0] + len(sub.if_1)", 3),
            ({"a": "train", "a.b": "7"}, "(a.auc, a.b)", (0.5, 7)),
            ({"train": "8"}, "train", 8),
            ({"name": "'ab'"}, "name.upper()", "AB"),
            ({"a": "b + c", "b": "c + 1", "c": "params.n"}, "a", 7),
            ({"pairs": "zip([1], [2])"}, "[*pairs, *pairs]", [(1, 2), (1, 2)]),
            ({"y": "x * 2"}, "[y[x] for x in [5, 6]]", [10, 12]),
            ({"y": "x * 2"}, "[y for x in [5, 6] if y > 10]", [12]),
            ({"z": "y[x] + x", "y": "tune[x]"}, "[z[x] for x in [1, 2]]", [11, 22]),
            ({"y": "(x, i)"}, "[[y[x, i] for i in [7]] for x in [5]]", [[(5, 7)]]),
            ({"good": "1", "bad": "1 / 0"}, "good if True else bad", 1),
        ],
    )
    def test_a_definition_is_its_text(self, definitions, text, expected, store) -> None:
        assert expressions.value(text, self.scope(store, definitions, n=3)) == expected

    def test_a_loop_variable_and_params_come_first(self, store) -> None:
        scope = self.scope(store, {"x": "1", "params": "2"}, x=3)
        assert expressions.value("([x for x in [5]], x, params.x)", scope) == ([5], 1, 3)

    def test_what_is_only_passed_on_is_not_loaded(self, store) -> None:
        scope = self.scope(store, {"best": "train"})
        assert isinstance(expressions.evaluate("best", scope), Reference)

    def test_it_is_evaluated_once_for_each_iteration_that_it_depends_on(self, store) -> None:
        class Counting(Nodes):
            asked = 0

            def output(self, node: str, indexes: tuple[int, ...]) -> object:
                type(self).asked += 1
                return super().output(node, indexes)

        nodes = Counting(store, {"train": 1})
        definitions = {"outer": "train", "inner": "outer + x"}
        scope = Scope({}, nodes, store, definitions=definitions)
        text = "[(inner[x], inner[x], outer) for x in range(5)]"
        assert expressions.value(text, scope) == [(x + 1, x + 1, 1) for x in range(5)]
        assert expressions.value("outer", scope.within({})) == 1
        assert Counting.asked == 1

    def test_what_it_raises_is_raised_for_whoever_uses_it(self, store) -> None:
        scope = self.scope(store, {"bad": "[1][5]", "worse": "bad + 1"})
        raised = []
        for text in ("worse", "bad", "[bad]"):
            with pytest.raises(IndexError, match="list index out of range") as caught:
                expressions.value(text, scope)
            raised.append(caught.value)
        assert raised[0] is raised[1] is raised[2]

    def test_one_that_needs_itself(self, store) -> None:
        scope = self.scope(store, {"a": "b + 1", "b": "[a]"})
        with pytest.raises(ExpressionError, match="`a` is defined by itself"):
            expressions.value("a", scope)

    @pytest.mark.parametrize("form", ["{0} + {0} - {0}", "({0}, {0})[0]", "max({0}, {0})"])
    def test_a_long_chain_takes_linear_time(self, form: str, store) -> None:
        chain = {f"v{i}": form.format(f"v{i - 1}") for i in range(1, 5001)}
        scope = self.scope(store, {"v0": "params.n", **chain}, n=3)
        assert expressions.value("v5000", scope) == 3
        failing = self.scope(store, {"v0": "1 / 0", **chain})
        with pytest.raises(ZeroDivisionError):
            expressions.value("v5000", failing)

    def test_a_long_chain_in_a_loop(self, store) -> None:
        chain = {f"v{i}": f"v{i - 1}[x] + v{i - 1}[x]" for i in range(1, 30)}
        scope = self.scope(store, {"v0": "x", **chain})
        assert expressions.value("[v29[x] for x in [1, 2]]", scope) == [2**29, 2**30]

    def test_a_deep_definition_of_deep_definitions(self, store) -> None:
        chain = {f"v{i}": "-" * 60 + f"v{i - 1}" for i in range(1, 300)}
        assert expressions.value("v299", self.scope(store, {"v0": "7", **chain})) == 7


def test_a_set_is_gone_over_in_the_same_order_everywhere(store):
    tree = values.encode({"b", "a", "c"}, store)
    scope = Scope({"names": tree}, Nodes(store, {}), store)
    assert expressions.value("[n for n in params.names]", scope) == ["a", "b", "c"]
