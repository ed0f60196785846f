"""Modules for the fuzzer: from a grammar, and from those of the tests and examples by mutation.

A number gives a module, the same one each time: ``module(7)``.
"""

from __future__ import annotations

import ast
import copy
import io
import tokenize
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from levada.settings import SETTINGS, settings_of

from tests.conformance import random_pipelines

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
HEADER = """import enum
from typing import Annotated, Literal, NamedTuple
from pydantic import Field
from levada import Loop, Resources, Retry, Secret, Volume, after, parallel, pipeline, step

class Colour(enum.Enum):
    RED = 1
    BLUE = "b"

def twice(x):
    return [x, x]

@step{step}
def f(x=0, *more, **named):
    return x

@step
def rows(n: int = 3) -> list[int]:
    return list(range(n))

@pipeline{pipeline}
def flow(n: {kind} = 1, c: bool = True, ps: list[int] = [1, 2]):
    x, d, i, e = f(n), {}, 0, 1
    xs = [f(n), 2]
"""
#: Values that are hard on whoever expects others: large, deep, of another type, control characters.
VALUES = (
    *(
        "0",
        "-1",
        "1.5",
        "1e309",
        "-1e309",
        "10**400",
        "9**9**9",
        "2**63",
        "True",
        "None",
        "...",
        "''",
    ),
    *(
        "'a'",
        "'\\x00'",
        "'\\ud800'",
        "'\\n::error::x'",
        "'\\x1b[2J'",
        "'{{ x }}'",
        "'$(A)'",
        "'a' * 10**5",
    ),
    *(
        "'4Gi'",
        "'1.5'",
        "'0 0 * * *'",
        "'" + "(" * 60 + "'",
        "b'x'",
        "[]",
        "{}",
        "()",
        "[None]",
        "[[]]",
    ),
    *(
        "{'a': 1}",
        "{1: 2}",
        "{'a': None}",
        "{'': ''}",
        "{1, 2}",
        "range(10**9)",
        "[1] * 10**6",
        "f",
    ),
    *(
        "xs",
        "n",
        "Colour.RED",
        "Colour",
        "lambda: 1",
        "Retry(3)",
        "Resources(cpu=-1)",
        "Secret('a')",
    ),
    *(
        "Resources(memory='x')",
        "Volume('a', '/b')",
        "Retry(count=10**400)",
        "__file__",
        "open('/dev/zero')",
    ),
    *("'2024-01-01'", "['a', 'b']", "{'name': 'a', 'key': 'b'}", "[{'key': 'a', 'operator': 'x'}]"),
)
KINDS = (
    *(
        "int",
        "str",
        "Literal['a', 1]",
        "list[int]",
        "dict[str, list[int]]",
        "Colour",
        "'int'",
        "int | None",
    ),
    *(
        "Annotated[int, Field(ge=1)]",
        "Annotated[str, Field(pattern='a{9999999999}')]",
        "f",
        "undefined",
    ),
    *("Annotated[str, Field(pattern='(a+)+$')]", "tuple[int, ...]", "1", "list[", "object"),
)
#: Expressions that mostly are what is expected.
PLAIN = (
    "x",
    "xs",
    "n",
    "i",
    "1",
    "c",
    "'a'",
    "range(9)",
    "f(n)",
    "rows(n)",
    "ps",
    "d",
    "2",
    "[1, n]",
)
#: Statements of a pipeline; `{v}` is an expression, `{b}` and `{bb}` are blocks.
STATEMENTS = (
    *(
        "x = f({v})",
        "x = {v}",
        "f({v})",
        "f(*xs)",
        "x = x + {v}",
        "x = f({v}) + i",
        "x += {v}",
    ),
    *(
        "xs = [*xs, {v}]",
        "xs = xs + xs",
        "xs.append({v})",
        "d = {{**d, 'a': {v}}}",
        "d[{v}] = f({v})",
    ),
    *("for i in range(100):{b}", "for i in xs:{b}", "for i in rows(n):{b}", "for i in {v}:{b}"),
    *("if c:{b}", "if {v}:{b}\n    else:{b}", "try:{b}\n    except ValueError as e:{b}"),
    *("try:{b}\n    finally:{b}", "with parallel():{b}", "xs = [f(i) for i in xs]"),
    *("match n:\n        case 1:{bb}\n        case _:{bb}", "if n == {v}:\n        return f({v})"),
    *("for i in Loop(rows(n), max_parallel=2):{b}", "if x == {v}:\n        raise ValueError({v})"),
    *(
        "x, *xs = [{v}, *xs]",
        "d = {{str(k): f(v) for k, v in enumerate(xs)}}",
        "assert x != {v}, {v}",
    ),
    *("xs = [[f(i + j) for i in rows(i)] for j in rows(n)]", "x = f({v}).options(name='again')"),
    *("x = f'{{{v}!r:>{{n}}}}'", "x = f(sum(xs))", "xs = sorted(xs)[:2]"),
)
#: Statements that mostly are refused.
REFUSED = (
    *(
        "f(**{v})",
        "del x",
        "while {v}:{b}",
        "return {v}",
        "break",
        "continue",
        "def g():{b}",
        "import os",
    ),
    *("global x", "x = (y := {v}) and {v}", "x = sorted({v}, key=f)", "after({v})", "print({v})"),
    *(
        "{v}",
        "x = {v}",
        "for i in {v}:{b}",
        "for i in Loop({v}, max_parallel={v}):{b}",
        "raise {v}",
    ),
)
EXPRESSIONS = (
    *(
        "f({v})",
        "f({v})",
        "f(x) + {v}",
        "{v} * 2",
        "xs[{v}]",
        "xs[::-1]",
        "-{v}",
        "not {v}",
        "len(xs)",
    ),
    *("{v} if {v} else {v}", "[{v}, {v}]", "{{'a': {v}}}", "({v},)", "{v} in xs", "1 < {v} < {v}"),
    *(
        "{v} or {v}",
        "str({v})",
        "list(xs)",
        "sum(xs)",
        "twice({v})",
        "zip(xs, {v})",
        "{v}.a",
        "d.items()",
    ),
    *(
        "f'{{{v}}}'",
        "{v} ** {v}",
        "1 << {v}",
        "'%s' % {v}",
        "'{{}}'.format({v})",
        "dict({v})",
        "rows({v})",
    ),
)
BYTES = (
    *(
        b"for",
        b"if",
        b"else:",
        b"return",
        b"lambda:",
        b"*",
        b"[",
        b"]",
        b"(",
        b")",
        b"=",
        b":",
        b"\n",
    ),
    *(
        b"    ",
        b"9**9**9",
        b"await",
        b"@step",
        b"@pipeline",
        b"None",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
    ),
    *("\u202e\U0001f4a5\u00e9".encode(), b"f'{x!r:>9}'", b"\\\n", b"\r", b"\x0c", b"# coding: x\n"),
)


def module(seed: int) -> bytes:
    """Return the bytes of a module."""
    random = Random(seed)
    return random.choice(SOURCES)(random)


# ---------------------------------------------------------------------------- from a grammar


def written(random: Random) -> bytes:
    """Return a module of a grammar of what is hard to compile."""
    step = _setting(random, "step") if random.random() < 0.4 else ""
    pipeline = _setting(random, "pipeline") if random.random() < 0.3 else ""
    kind = random.choice(KINDS) if random.random() < 0.2 else "int"
    header = HEADER.replace("{step}", step).replace("{pipeline}", pipeline).replace("{kind}", kind)
    return (header + _block(random, 1)).encode("utf-8", "surrogatepass")


def _setting(random: Random, holder: str) -> str:
    """Return a setting: its example, or what is put in the place of a part of that."""
    name = random.choice(list(settings_of(holder)))
    example = ast.parse(SETTINGS[name].example or "1", mode="eval")
    parts = [node for node in ast.walk(example) if isinstance(node, ast.Constant)]
    if parts and random.random() < 0.5:
        random.choice(parts).value = random.choice(
            (0, -1, 10**400, 1.5, None, True, "", "\0", "a b", ())
        )
        return f"({name}={ast.unparse(example)})"
    if random.random() < 0.3:
        return f"({name}={random.choice(VALUES)})"
    return f"({name}={ast.unparse(example)})"


def _block(random: Random, depth: int) -> str:
    lines = []
    for _ in range(random.randint(1, 5 if depth == 1 else 2)):
        statement = _statement(random, depth)
        copies = random.choice((1, 1, 1, 1, 40)) if depth == 1 else 1
        lines += [statement] * copies
    return "".join(lines)


def _statement(random: Random, depth: int) -> str:
    known = STATEMENTS[:12] if depth > 3 else STATEMENTS
    text = random.choice(REFUSED if depth < 4 and random.random() < 0.02 else known)
    while "{v}" in text:
        text = text.replace("{v}", _expression(random, 0), 1)
    margin = "    " * depth
    text = margin + text.replace("\n", "\n" + margin[4:])
    for word, deeper in (("{bb}", 2), ("{b}", 1)):
        while word in text:
            text = text.replace(word, "\n" + _block(random, depth + deeper).rstrip("\n"), 1)
    return text.replace("{{", "{").replace("}}", "}") + "\n"


def _expression(random: Random, depth: int) -> str:
    if random.random() < 0.03:
        return random.choice(VALUES).replace("{", "{{").replace("}", "}}")
    if random.random() < 0.5 + 0.2 * depth:
        return random.choice(PLAIN)
    text = random.choice(EXPRESSIONS)
    while "{v}" in text:
        text = text.replace("{v}", _expression(random, depth + 1), 1)
    return f"({text})"


def of_the_language(random: Random) -> bytes:
    """Return a module that mostly compiles."""
    return random_pipelines.module(random.randrange(2**31)).encode()


# ---------------------------------------------------------------------------- by mutation


@cache
def _seeds() -> tuple[bytes, ...]:
    places = [*ROOT.glob("tests/conformance/cases/*.py"), *ROOT.glob("examples/**/*.py")]
    return tuple(path.read_bytes() for path in sorted(places))


def _seed(random: Random) -> bytes:
    return random.choice((*_seeds(), of_the_language(random), written(random)))


def with_other_bytes(random: Random) -> bytes:
    """Return a module with a few bytes put in, cut out, doubled or replaced."""
    content = bytearray(_seed(random))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(content) + 1)
        end = min(len(content), at + random.choice((1, 3, 20, 200)))
        piece = random.choice((random.choice(BYTES), b"", bytes(content[at:end]) * 2))
        content[at : random.choice((at, end))] = piece
    return bytes(content)


def with_other_tokens(random: Random) -> bytes:
    """Return a module with a few tokens swapped, left out, or replaced by others of it."""
    content = _seed(random)
    try:
        found = list(tokenize.tokenize(io.BytesIO(content).readline))[1:]
    except (tokenize.TokenError, SyntaxError):
        return content
    words = [(token.type, token.string) for token in found]
    for _ in range(random.randint(1, 4)):
        at, other = random.randrange(len(words)), random.randrange(len(words))
        change = random.randrange(3)
        if change == 0:
            words[at], words[other] = words[other], words[at]
        elif change == 1:
            words[at] = words[other]
        elif len(words) > 1:
            del words[at]
    try:
        return tokenize.untokenize(words).encode("utf-8", "surrogatepass")
    except (ValueError, IndexError, AssertionError):
        return content


def with_other_nodes(random: Random) -> bytes:
    """Return a module with a few expressions or statements replaced by others of their kind."""
    try:
        tree = ast.parse(_seed(random))
        for _ in range(random.randint(1, 3)):
            _exchange(tree, random)
        return ast.unparse(tree).encode("utf-8", "surrogatepass")
    except (SyntaxError, ValueError, RecursionError, TypeError, AttributeError):
        return b""  # it is no longer Python


def _exchange(tree: ast.Module, random: Random) -> None:
    kind = random.choice((ast.expr, ast.stmt))
    nodes = [node for node in ast.walk(tree) if isinstance(node, kind)]
    hard = ast.parse(random.choice(VALUES), mode="eval").body
    other = hard if kind is ast.expr and random.random() < 0.5 else random.choice(nodes or [hard])
    other = copy.deepcopy(other)  # it may be around the node in whose place it comes
    chosen = random.choice(nodes or [hard])
    for node in list(ast.walk(tree)):
        for name, value in ast.iter_fields(node):
            if value is chosen:
                setattr(node, name, other)
            elif isinstance(value, list) and chosen in value:
                times = 1 if kind is ast.expr else random.randint(0, 2)
                at = value.index(chosen)
                value[at : at + 1] = [other] * times


SOURCES: tuple[Callable[[Random], bytes], ...] = (
    *(written, written, of_the_language),
    *(with_other_bytes, with_other_tokens, with_other_nodes, with_other_nodes),
)
