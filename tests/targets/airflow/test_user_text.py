"""Whatever a user writes in a string arrives as it is, and never as a template or as code."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from levada_backends.airflow import TARGET
from levada_compiler.diagnostics.diagnostic import Span
from levada_compiler.program.ir import (
    Argument,
    Call,
    Const,
    Parameter,
    Program,
    Result,
    Setting,
    Step,
    Type,
)

NASTY = (
    *("", " ", "{{ ti }}", "{% raw %}", "{# #}", "{{ '{{' }}", "$(rm -rf /)", "${HOME}", "`ls`"),
    *("'", '"', '"""', "'''", '\\"""', "\\", "\\\\", "a\\", 'a"', '"a', "a\\n", "\n", "\r\n", "\t"),
    *(
        "\x00",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202e",
        "\ufeff",
        "\u00a0",
        "🎈",
        "é",
        "漢字",
    ),
    *(
        "script.sh",
        "notes.md",
        "# noqa",
        "\n    indented\n",
        "trailing  \n  \n",
        "x" * 120,
        "%s %(a)s",
    ),
    *("\f", "\v", "a\x0cb", "'\"" * 40, "\N{COMBINING ACUTE ACCENT}", "--flag", "-1", "\\N{DASH}"),
)
texts = st.one_of(st.sampled_from(NASTY), st.text(), st.text(st.sampled_from("\"'\\{}%#\n a")))


@given(texts, texts)
def test_constants_arrive_as_they_are(constant: str, other: str) -> None:
    arguments = keywords(call(emit(constant, other), "Step"))
    inputs = ast.literal_eval(arguments["inputs"])
    assert ast.literal_eval(inputs["text"]) == constant
    assert ast.literal_eval(arguments["settings"])["environment"] == {"TEXT": constant}
    assert ast.literal_eval(arguments["doc_md"]) == other if other else "doc_md" not in arguments


@given(texts, texts)
def test_parameters_and_tags_arrive_as_they_are(constant: str, other: str) -> None:
    tree = emit(constant, other)
    parameter = call(tree, "Param")
    assert ast.literal_eval(parameter.args[0]) == constant
    described = keywords(parameter).get("description")
    assert (ast.literal_eval(described) if described else "") == other
    assert ast.literal_eval(keywords(call(tree, "DAG"))["tags"]) == [constant, other]


@given(texts, texts)
def test_only_our_own_text_is_a_template(constant: str, other: str) -> None:
    tree = emit(constant, other)
    assert ast.dump(assigned(tree, "ENVIRONMENT")) == ast.dump(
        assigned(emit("a", "b"), "ENVIRONMENT")
    )
    # Airflow 2 renders the text of a DAG's page.
    page = ast.unparse(keywords(call(tree, "DAG"))["doc_md"])
    if any(mark in other for mark in ("{{", "{%", "{#")):
        assert page == "__doc__.replace('{', '&#123;')"


@given(texts)
def test_the_docstring_says_what_the_pipelines_says(text: str) -> None:
    shown = ast.get_docstring(emit("", text), clean=False)
    assert shown is not None
    for word in text.split():
        if word.isprintable() and word.isascii() and "\\" not in word:
            assert word in shown


def test_ruff_would_not_format_any_of_it_otherwise(tmp_path: Path) -> None:
    for number, text in enumerate(NASTY):
        (tmp_path / f"text_{number}.py").write_text(source(text, text))
    line = [str(Path(sys.executable).with_name("ruff")), "format", "--isolated", "--no-cache"]
    line += ["--line-length", "100", "--diff", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


SPAN = Span("flow.py", 1, 1, 1, 2)


def source(constant: str, other: str) -> str:
    """A DAG file with the one text as constant, default and tag, the other in all descriptions."""
    text = Type("str", text="str")
    step = Step(
        *("flow:echo", "flow", "echo", ".", other),
        parameters=(Parameter("text", text, None, "", SPAN),),
        returns=text,
        outputs=(),
        settings=(Setting("environment", json.dumps({"TEXT": constant}), SPAN),),
        code="sha256:0",
        imports=(),
        span=SPAN,
    )
    program = Program(
        *("flow", other, "flow.py", "sha256:0"),
        parameters=(Parameter("given", text, json.dumps(constant), other, SPAN),),
        settings=(Setting("tags", json.dumps([constant, other]), SPAN),),
        steps=(step,),
        body=(
            Call("echo", step.key, (Argument("text", Const(constant, SPAN), SPAN),), (), (), SPAN),
        ),
        result=Result((), (), "none", SPAN),
        span=SPAN,
        search=(".",),
    )
    (written,) = TARGET.emit(program, {"compiler": "0.1.0"}).values()
    return written


def emit(constant: str, other: str) -> ast.Module:
    """That file, parsed."""
    return ast.parse(source(constant, other))


def call(tree: ast.AST, function: str) -> ast.Call:
    """The only call of a function."""
    (found,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function
    )
    return found


def keywords(found: ast.Call) -> dict[str, Any]:
    """The keyword arguments of a call, as syntax."""
    return {keyword.arg: keyword.value for keyword in found.keywords if keyword.arg}


def assigned(tree: ast.Module, name: str) -> ast.AST:
    """What is assigned to a name at the top level."""
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )
    return value
