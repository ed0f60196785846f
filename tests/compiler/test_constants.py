"""Constants: evaluated as Python would, without running anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.front.not_constant import NotConstantError

from tests.compiler.folding import Constants

PAGE = Path(__file__).parent / "project_functions.md"
MODULES = re.findall(r"^## ([^\n]+)\n\n```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)


@pytest.mark.parametrize("module", [text for _, text in MODULES], ids=[name for name, _ in MODULES])
def test_functions_of_the_project_mean_what_they_mean_in_python(module: str) -> None:
    names: dict[str, object] = {}
    exec(module, names)
    assert repr(Constants(module).fold("RESULT")) == repr(names["RESULT"])


@pytest.mark.parametrize(
    ("function", "line", "message"),
    [
        ("def f():\n    try:\n        return 1\n    finally:\n        pass\n", 2, "`try` is not"),
        ("def f():\n    with BASE as file:\n        return file\n", 2, "`with` of anything but"),
        ("def f():\n    with open('x') as file:\n        return file\n", 2, "`x` cannot be read"),
        ("def f():\n    import os\n    return 1\n", 2, "an import within a function is not"),
        ("def f():\n    return open('x').read()\n", 2, "`x` cannot be read: no such"),
        ("def f():\n    g = lambda: 1\n    return g()\n", 2, "a lambda cannot be used"),
        ("def f():\n    yield 1\n", 2, "`yield` makes it a generator: return a list"),
        ("async def f():\n    return 1\n", 1, "it is async"),
        (
            "def f(xs=[1]):\n    xs.append(2)\n    return xs\n",
            2,
            "`append` changes a list that `f`",
        ),
        ("def f():\n    BASE.append(2)\n    return 1\n", 2, "`append` changes a list that `f`"),
        ("def f():\n    BASE[0] = 2\n    return 1\n", 2, "this changes a list that `f`"),
        ("def f():\n    xs = BASE\n    xs += [1]\n    return xs\n", 3, "`+=` changes a list that"),
        ("def f():\n    if 0:\n        y = 1\n    return y\n", 4, "`y` has no value here"),
        ("def f():\n    x = 1\n    return x / 0\n", 3, "division by zero"),
        ("def f():\n    raise ValueError(f'bad {1}')\n", 2, "ValueError: bad 1"),
        ("def f():\n    assert 0, 'no'\n", 2, "AssertionError: no"),
        ("def f():\n    while True:\n        pass\n", 2, "this takes too long to compute"),
        ("def f():\n    xs = []\n    xs.append(xs)\n    return xs == xs\n", 4, "nested too deep"),
        ("def f(n=0):\n    return f(n + 1)\n", 1, "calls are nested more than 40 deep"),
        ("def g():\n    return 1 % 0\n\ndef f():\n    return g()\n", 2, "modulo by zero"),
        ("def f():\n    return LATER\n", 2, "`LATER` is used before it is defined"),
    ],
)
def test_the_line_that_stops_a_function_is_labelled(
    function: str, line: int, message: str, tmp_path: Path
) -> None:
    module = f"{function}\nBASE = [1]\nVALUE = f()\nLATER = 1\n"
    (tmp_path / "pyproject.toml").touch()
    path = tmp_path / "flow.py"
    path.write_text(
        f"{module}\nfrom levada import pipeline, step\n\n\n@step\ndef use(x): ...\n\n\n"
        "@pipeline\ndef flow():\n    use(VALUE)\n"
    )
    (found,) = [item for item in compile_file(str(path)).diagnostics if item.labels]
    call = module.splitlines().index("VALUE = f()") + 1
    assert (found.span.line, found.span.column, found.span.end_column) == (call, 9, 12)
    (label,) = found.labels
    assert label.span.line == line
    assert message in label.text
    assert found.help


@pytest.mark.parametrize("text", ["A399", "[A399[0], A1]", "total()"])
def test_a_long_chain_of_constants(text: str) -> None:
    chain = "".join(f"A{i} = A{i - 1}[:]\n" for i in range(1, 400))
    constants = Constants(f"A0 = [7]\n{chain}\ndef total():\n    return sum(A399)\n")
    assert constants.fold(text) == {"A399": [7], "[A399[0], A1]": [7, [7]], "total()": 7}[text]


def test_a_long_circle_of_constants() -> None:
    constants = Constants("".join(f"A{i} = A{(i + 1) % 100}\n" for i in range(100)))
    with pytest.raises(NotConstantError, match=r"refers to itself|used before it is"):
        constants.fold("A5")


def test_values_stay_python_objects() -> None:
    constants = Constants("from pathlib import Path\nfrom datetime import date\n")
    assert constants.fold("Path('a') / 'b'") == Path("a/b")
    assert constants.fold("[date(2024, 1, 1), b'x', {1, 2}, (1, 2j)]")[1:] == [
        b"x",
        {1, 2},
        (1, 2j),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "(x for x in g)",
        "zip(g)",
        "enumerate(g)",
        "itertools.chain(g)",
        "itertools.accumulate(g)",
        "itertools.repeat(g)",
        "reversed([g])",
        "[g]",
        "(g, g)",
        "{1: g}",
    ],
)
@pytest.mark.parametrize("after", ["g", "list(g)", "{}.get((g,))", "[g] == [g]", "str([g])"])
def test_what_is_nested_deep_ends_in_an_answer(body: str, after: str) -> None:
    constants = Constants(
        "import itertools\n\ndef f():\n    g = (1,)\n    for i in range(10_000):\n"
        f"        g = {body}\n    return {after}\n"
    )
    assert answer(constants) in ("value", "constant-too-large", "set-order", "constant-error")


@pytest.mark.parametrize(
    "statement",
    [
        "xs += xs",
        "xs.extend(xs)",
        "xs = xs + xs",
        "xs.append(list(xs))",
        "xs.insert(0, len(xs))",
        "text += text",
        "text = f'{text}{text}'",
        "number = number * number",
        "table[len(table)] = list(table)",
        "table[len(table) * (2**61 - 1)] = 1",
        "members.add(len(members) * (2**61 - 1))",
        "members |= {x + len(members) for x in members}",
        "table.update({x + len(table): 1 for x in range(len(table) + 1)})",
        "xs.sort(reverse=True)",
        "xs[0:0] = xs",
        "xs.append(xs)",
    ],
)
def test_a_loop_without_an_end_ends(statement: str) -> None:
    constants = Constants(
        "def f():\n    xs, table, members = [1], {}, {1}\n    text, number = 'x', 3\n"
        f"    while True:\n        {statement}\n"
    )
    assert answer(constants) == "constant-too-large"


def answer(constants: Constants) -> str:
    """Whether `f()` has a value, or the rule by which it has none."""
    try:
        constants.fold("f()")
    except NotConstantError as error:
        return error.rule
    return "value"
