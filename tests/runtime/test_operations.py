"""What expressions compute with, against Python itself: in a run, and as a constant."""

from __future__ import annotations

import doctest
import importlib
import re
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada import expressions
from levada.expressions import Scope
from levada.operations import (
    ATTRIBUTES,
    CONSTANTS,
    FUNCTIONS,
    METHODS,
    QUALIFIED,
    RESERVED,
    Budget,
    ExpressionError,
    NotPlainError,
    TooLargeError,
    UnorderedError,
    UnsupportedError,
    attribute,
    binary,
    call,
    compare,
    constant,
    formatted,
    method,
    subscript,
    truth,
)
from levada.operations.plain import finished

from tests.compiler.folding import Constants
from tests.runtime import random_expressions as random
from tests.runtime.test_expressions import fenced_lines

#: What iterators are called in messages: what a run loads on the way is another one.
ITERATORS = re.compile(r"\b(zip|generator|enumerate|\w*reverseiterator|itertools\.\w+)\b")


class NoNodes:
    """A run without nodes."""

    def __contains__(self, node: object) -> bool:
        return False


SCOPE = Scope({}, NoNodes(), None)
CONSTANTS_OF_A_MODULE = Constants(random.IMPORTS)


def outcome(compute) -> tuple[str, str]:
    """A value with its type, or the exception with its message."""
    try:
        value = finished(compute(), Budget())
    except Exception as error:  # noqa: BLE001  whatever Python raises
        name = type(error).__name__
        # Which of the two classes Python names depends on what it did before.
        message = str(error).replace("datetime.weekday()", "date.weekday()")
        return f"raises {name}", ITERATORS.sub("iterator", message)
    if isinstance(value, set | frozenset) and any(item != item for item in value):
        # The hash of a NaN is its address, and so is its place in a set.
        return type(value).__name__, repr(sorted(map(repr, value)))
    return type(value).__name__, repr(value)


def python(text: str) -> object:
    return eval(text, dict(random.NAMES))


def in_a_run(text: str) -> object:
    return expressions.evaluate(text, SCOPE)


EVALUATORS = {"run": in_a_run, "constant": CONSTANTS_OF_A_MODULE.value}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("text", fenced_lines(Path(__file__).parent / "operations.md"))
def test_means_what_python_means(text: str, evaluator: str) -> None:
    assert outcome(lambda: EVALUATORS[evaluator](text)) == outcome(lambda: python(text))


#: What is refused on purpose, where Python's answer depends on the process or the machine.
REFUSED = (
    "raises UnorderedError",
    "raises UnsupportedError",
)
some = settings(
    max_examples=600,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def check(text: str) -> None:
    """Both evaluators agree with Python."""
    try:
        compile(text, "<text>", "eval")
    except SyntaxError:
        return
    expected = outcome(lambda: python(text))
    for evaluate in EVALUATORS.values():
        found = outcome(lambda evaluate=evaluate: evaluate(text))
        if found[0] == "raises TooLargeError":
            # Python would have refused another argument first, or the result is no constant.
            assert expected[0].startswith("raises") or len(expected[1]) > 1000, text
        elif "has no parameter `" in found[1]:  # before the arguments are evaluated
            # Python 3.11 ignores keyword arguments of paths.
            assert expected[0].startswith("raises") or "Path(" in text, text
        elif found[0] not in REFUSED:
            assert found == expected, text


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
class TestAgreesWithPython:
    @some
    @given(random.calls)
    def test_functions(self, text: str) -> None:
        check(text)

    @some
    @given(random.combinations)
    def test_functions_of_small_numbers(self, text: str) -> None:
        check(text)

    @some
    @given(random.methods)
    def test_methods(self, text: str) -> None:
        check(text)

    @some
    @given(random.binary)
    def test_binary_operators(self, text: str) -> None:
        check(text)

    @some
    @given(random.comparisons)
    def test_comparisons(self, text: str) -> None:
        check(text)

    @some
    @given(random.unary)
    def test_unary_operators(self, text: str) -> None:
        check(text)

    @some
    @given(random.subscripts)
    def test_subscripts(self, text: str) -> None:
        check(text)

    @some
    @given(random.values, random.conversions, random.specifications)
    def test_formats(self, text: str, conversion: str, spec: str) -> None:
        check(f"'{{:{spec}}}'.format({text})")
        check(f"'{{{conversion}:{spec}}}'.format({text})")
        if not set("'{}\\\n") & set(text):
            check(f'f"""{{({text}){conversion}:{spec}}}"""')

    @some
    @given(st.sampled_from(sorted(CONSTANTS)))
    def test_constants_of_libraries(self, text: str) -> None:
        check(text)


class Color(Enum):
    RED = 1


class TestTables:
    def test_reserved_words_are_the_first_words_of_all_names(self) -> None:
        words = {name.partition(".")[0] for name in (*FUNCTIONS, *CONSTANTS)}
        of_a_run = {"params", "flat", "failed", "raises", "error", "catches", "instance", "member"}
        of_a_run |= {"folded", "from_json"}
        assert words | of_a_run == RESERVED

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_a_function_is_that_of_python(self, name: str) -> None:
        assert callable(FUNCTIONS[name].target())
        assert QUALIFIED[FUNCTIONS[name].qualified] == name

    def test_methods_and_attributes_exist_in_python(self) -> None:
        import numpy as np

        examples = {kind: python(text) for kind, text in random.EXAMPLES.items()}
        examples |= {"scalar": np.float64(1), "enum": Color.RED, "exception": ValueError()}
        examples["tuple"] = python("date(2024, 1, 1).isocalendar()")
        for table in (METHODS, ATTRIBUTES):
            for kind, names in table.items():
                # `type(e).__name__` asks the exception for the name of its class.
                owners = (examples[kind], type(examples[kind]))
                missing = [n for n in names if not any(hasattr(owner, n) for owner in owners)]
                assert missing == []

    def test_constants(self) -> None:
        assert {type(constant(name)).__name__ for name in CONSTANTS} == {
            *("date", "datetime", "float", "time", "timedelta", "timezone")
        }


@pytest.mark.parametrize(
    "module",
    ["budget", "functions", "methods", "operators", "plain", "text_formats"],
)
def test_examples_in_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"levada.operations.{module}"))
    assert found.attempted
    assert not found.failed


class TestRefusals:
    """What does not exist is an error that says what to write."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[1].append(2)", "`append` changes a list in place, which expressions do not: write"),
            ("{}.update({})", "write `{**d, **e}`"),
            ("{1}.add(2)", "write `{*s, x}`"),
            ("[2, 1].sort()", "write `sorted(xs)`"),
            ("print(1)", "`print(…)` cannot be called in a pipeline: call it in a step"),
            ("os.getcwd()", "`os` is not a parameter, node or variable here"),
            ("map(len, [])", "`map(…)` cannot be called in a pipeline"),
            ("'a'.format_map({})", "`str.format_map` is not available in a pipeline"),
            ("Path('a').read_text()", "`Path.read_text` is not available in a pipeline"),
            ("'a'.upper", "`upper` is a method: call it, `upper(…)`"),
            ("'{0.__class__}'.format(1)", "`int.__class__` is not available in a pipeline"),
            ("(1).__class__", "`int.__class__` is not available in a pipeline"),
            ("str({1})", "the text of a set has no certain order: write `sorted(…)`"),
            ("f'{[{1}]}'", "the text of a set has no certain order"),
            ("'%s' % {1}", "the text of a set has no certain order"),
            ("str(zip())", "the text of an iterator is its address: write `list(…)` around it"),
            ("len + 1", "`len` is a function: call it, `len(…)`"),
            ("datetime(2024, 1, 1).timestamp()", "would use the machine's time zone"),
            ("datetime.fromtimestamp(0)", "would use the machine's time zone"),
            ("'a'.encode('idna')", "the encoding 'idna' is not available in a pipeline"),
            ("datetime.now()", "`datetime.now(…)` cannot be called in a pipeline"),
            ("hash(1)", "`hash(…)` cannot be called in a pipeline"),
            ("(lambda: 1)()", "only functions and methods can be called"),
            ("(x := 1)", "`:=` cannot be used in an expression"),
        ],
    )
    def test_what_does_not_exist(self, text: str, message: str) -> None:
        with pytest.raises(ExpressionError, match=re.escape(message)):
            expressions.evaluate(text, SCOPE)

    def test_a_result_that_is_a_function(self) -> None:
        with pytest.raises(UnsupportedError, match="`len` is a function"):
            expressions.evaluate("len", SCOPE)


class Report:
    """An instance of a project's class."""


class TestNotPlain:
    """What cannot be computed with is named."""

    @pytest.mark.parametrize(
        "compute",
        [
            lambda value: binary("+", value, 1, Budget()),
            lambda value: binary("*", [1], value, Budget()),
            lambda value: compare("==", value, 1, Budget()),
            lambda value: compare("<", [1, [value]], [], Budget()),
            lambda value: compare("in", 1, value, Budget()),
            lambda value: subscript(value, 0, Budget()),
            lambda value: formatted(value, "", "", Budget()),
            lambda value: formatted([value], "r", "", Budget()),
            lambda value: attribute(value, "shape"),
            lambda value: method(value, "head", [], {}, Budget()),
            lambda value: method("x", "join", [[value]], {}, Budget()),
            lambda value: call("len", [value], {}, Budget()),
            lambda value: call("list", [value], {}, Budget()),
            lambda value: call("sum", [[value]], {}, Budget()),
            lambda value: call("json.dumps", [{"a": value}], {}, Budget()),
        ],
    )
    def test_a_frame_and_an_instance(self, compute) -> None:
        import pandas as pd

        with pytest.raises(NotPlainError, match=r"^`pandas\.DataFrame` cannot be computed with"):
            compute(pd.DataFrame({"a": [1]}))
        with pytest.raises(NotPlainError, match=r"test_operations\.Report` cannot be computed"):
            compute(Report())

    def test_passing_on_is_not_computing(self) -> None:
        value = Report()
        assert call("list", [(value,)], {}, Budget()) == [value]
        assert call("dict", [], {"a": value}, Budget()) == {"a": value}
        assert list(call("zip", [[1], [value]], {}, Budget())) == [(1, value)]
        assert method({"a": value}, "get", ["a"], {}, Budget()) is value
        assert compare("is", value, None, Budget()) is False
        assert truth(value) is True

    def test_scalars_of_numpy_are_numbers(self) -> None:
        import numpy as np

        assert binary("*", np.float64(0.5), 100, Budget()) == 50
        assert compare(">", np.float32(0.5), 0.4, Budget())
        assert formatted(np.float64(0.123), "", ".1f", Budget()) == "0.1"
        assert call("max", [[np.int64(1), 2]], {}, Budget()) == 2
        with pytest.raises(TooLargeError):
            binary("*", "x", np.int64(10**12), Budget())


class TestOrder:
    """Going over a set gives one order in every process."""

    @pytest.mark.parametrize(
        ("members", "order"),
        [
            ({"b", "a", "c"}, ["a", "b", "c"]),
            ({10, 9, 1}, [1, 10, 9]),
            ({"1", 2, None, 2.5}, [None, 2.5, 2, "1"]),
            ({(1,), (1, 2)}, [(1, 2), (1,)]),
            ({frozenset("ba"), frozenset("a")}, [frozenset("ab"), frozenset("a")]),
        ],
    )
    def test_order(self, members: set[object], order: list[object]) -> None:
        assert call("list", [members], {}, Budget()) == order
        assert list(call("enumerate", [members], {}, Budget())) == list(enumerate(order))

    def test_text_of_a_set(self) -> None:
        with pytest.raises(UnorderedError):
            formatted({"a": [{1, 2}]}, "", "", Budget())


class TestBudget:
    def test_one_budget_for_all_operations(self) -> None:
        budget = Budget(steps=1_000_000, bytes=3_000_000)
        assert len(binary("*", "x", 2_000_000, budget)) == 2_000_000
        with pytest.raises(TooLargeError):
            binary("*", "x", 2_000_000, budget)

    def test_what_is_spent_stays_spent(self) -> None:
        budget = Budget(steps=10)
        for _ in range(2):
            with pytest.raises(TooLargeError, match="this takes too long to compute"):
                budget.spend(11)
