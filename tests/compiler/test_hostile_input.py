"""Whatever the bytes, the answer is diagnostics: never a traceback, never a run of user code."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada_compiler.compilation import compile_file
from levada_compiler.compiled import Compilation

from tests.conformance.case import CASES

SEEDS = [path.read_bytes() for path in sorted(CASES.glob("*.py"))]
WORDS = (
    b"for", b"if", b"else:", b"try:", b"return", b"lambda:", b"*", b"**", b"[", b"]", b"(", b")",
    b"=", b":", b"\n", b"    ", b"0", b"9**9**9", b"await", b"yield", b"async def f():", b"@step",
    b"@pipeline", b"x", b"None", b".append(", b".after(", b"while True:", b"del", b"\0", b"\xff",
    "\u202e\U0001f4a5\u00e9".encode(), b"f'{x!r:>9}'", b"\\\n", b"\r", b"\x0c", b"import levada",
    b"# coding: x\n",
)  # fmt: skip


def compiled(content: bytes, folder: Path) -> Compilation:
    path = folder / "hostile.py"
    path.write_bytes(content)
    compilation = compile_file(str(path))
    failed = any(item.severity.value == "error" for item in compilation.diagnostics)
    assert failed == (compilation.program is None)
    for item in compilation.diagnostics:
        span = item.span
        assert span.line >= 1
        assert span.column >= 1
        assert (span.end_line, span.end_column) >= (span.line, span.column)
        assert item.message
    return compilation


def mutated(source: bytes, seed: int) -> bytes:
    """A few words put in, pieces cut out, swapped or doubled."""
    chance = random.Random(seed)
    content = bytearray(source)
    for _ in range(chance.randint(1, 4)):
        at, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
        end = min(end, at + chance.choice((1, 3, 20, 200)))
        action = chance.randrange(4)
        if action == 0:
            content[at:at] = chance.choice(WORDS)
        elif action == 1:
            del content[at:end]
        elif action == 2:
            content[at:at] = content[at:end]
        else:
            content[at:end] = chance.choice(WORDS)
    return bytes(content)


@settings(
    max_examples=250,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(source=st.sampled_from(SEEDS), seed=st.integers(0, 2**32))
def test_mutated_modules_give_diagnostics(source: bytes, seed: int, tmp_path: Path) -> None:
    compiled(mutated(source, seed), tmp_path)


@settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=300))
def test_any_bytes_give_diagnostics(content: bytes, tmp_path: Path) -> None:
    compiled(content, tmp_path)


HEADER = b"""from levada import pipeline, step

@step
def f(x=0, *y):
    return x

@pipeline
def flow(n=1):
"""
LARGE = {
    "nested lists": b"    return f(" + b"[" * 150 + b"]" * 150 + b")\n",
    "nested lists, deeper than Python": b"    return f(" + b"[" * 10_000 + b"]" * 10_000 + b")\n",
    "a sum of 10,000 terms": b"    return f(" + b"n+" * 10_000 + b"n)\n",
    "a sum of 10,000 constants": b"    return f(" + b"1+" * 10_000 + b"1)\n",
    "an attribute of attributes": b"    x = f()\n    return f(x" + b".a" * 10_000 + b")\n",
    "calls in calls": b"    return " + b"f(" * 95 + b")" * 95 + b"\n",
    "10,000 minus signs": b"    return f(" + b"-" * 10_000 + b"n)\n",
    "10,000 elifs": b"    x = f()\n    if x == 0:\n        f(1)\n"
    + b"".join(b"    elif x == %d:\n        f(1)\n" % i for i in range(3_000)),
    "a tower of powers": b"    return f(9**9**9**9)\n",
    "a tower in a constant": b"    return f(A)\n\nA = 10**4000 * 10**4000\n",
    "a long string": b"    return f('a' * 10**10, 'b' * 10**7)\n",
    "doubled lists": b"    a = [1] * 1000\n    b = [a] * 1000\n    return f([b] * 1000)\n",
    "doubled texts": b"    a = f'{n}'\n" + b"    a = f'{a}{a}'\n" * 60 + b"    return f(a)\n",
    "doubled sums": b"    a = n\n" + b"    a = a + a\n" * 60 + b"    return f(a)\n",
    "a wide format": b"    return f(f'{1:>999999999999}')\n",
    "a large loop": b"    return [f(i) for i in range(10**12)]\n",
    "a loop over more than a machine's word": b"    return [f(i) for i in range(10**30)]\n",
    "a range as arguments": b"    return f(*range(10**9))\n",
    "a range in a list": b"    return f([*range(10**9)])\n",
    "a range added to a list": b"    xs = []\n    xs.extend(range(10**9))\n    return f(xs)\n",
    "ranges zipped": b"    return [f(i) for i in zip(range(10**9), range(10**9))]\n",
    "a wide format with zeros": b"    return f(f'{1:>" + b"0" * 30 + b"999999999}')\n",
    "loops in loops": b"    for i in range(500):\n        for j in range(500):\n            pass\n",
    "pipelines in pipelines": b"    p0()\n    p0()\n"
    + b"".join(
        b"\n@pipeline\ndef p%d():\n    p%d()\n    p%d()\n" % (i, i + 1, i + 1) for i in range(40)
    )
    + b"\n@pipeline\ndef p40():\n    f()\n",
    "a number of 5,000 digits": b"    return f(" + b"1" * 5_000 + b")\n",
    "a shift": b"    return f(1 << 10**12)\n",
    "itself as a constant": b"    return f(A)\n\nA = B\nB = A\n",
    "a surrogate": b"    return f('\\ud800')\n",
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_large_input_is_answered(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_bytes(HEADER + body)
    compile_file(str(tmp_path / "hostile.py"), "flow")


LIMITED = """
from typing import Annotated
from pydantic import Field
from levada import pipeline, step

@step
def f(x):
    return x

@pipeline
def flow(n: Annotated[str, Field(pattern=r"{pattern}")] = "{default}"):
    return f(n)
"""


@pytest.mark.parametrize(
    ("pattern", "default", "problem"),
    [
        ("(a+)+$", "a" * 40 + "!", "takes longer than 1 s to match"),
        ("a{99999999999999999999}", "a", "the repetition number is too large"),
        ("(a", "a", "missing ), unterminated subpattern"),
    ],
)
def test_patterns_of_parameters(pattern: str, default: str, problem: str, tmp_path: Path) -> None:
    source = LIMITED.replace("{pattern}", pattern).replace("{default}", default)
    (tmp_path / "hostile.py").write_text(source)
    (found,) = compile_file(str(tmp_path / "hostile.py"), "flow").diagnostics
    assert problem in found.message


LOOPS = b"    for i in range(100):\n        for j in range(100):\n"
GROWING = {
    "a list copied to grow": b"    a = [f(n)]\n" + LOOPS + b"            a = [*a, a[i]]\n",
    "a list added to": b"    a = [f(n)]\n" + LOOPS + b"            a = a + [a[i]]\n",
    "a dict copied to grow": b"    a = {}\n" + LOOPS + b"            a = {**a, i + 99 * j: n}\n",
    "a list cut": b"    a = [f(n) for i in range(999)]\n" + LOOPS + b"            a = a[::-1]\n",
    "items unpacked": b"    a = [f(n) for i in range(999)]\n"
    + LOOPS
    + b"            x, *a = [*a, n]\n",
    "arguments": b"    a = [f(n) for i in range(999)]\n" + LOOPS + b"            f(*a)\n",
    "a constant written out": b"    a = list(range(9999))\n" + LOOPS + b"            f(a)\n",
    "a text written out": b"    a = 'a' * 100000\n" + LOOPS + b"            f(a)\n",
    "a sum of constants": LOOPS + b"            t = sum(range(9999))\n    return f(t)\n",
    "rows of a product": b"    from itertools import product\n    a = [f(n) for i in range(999)]\n"
    b"    return f(list(product(a, a, a)))\n",
    "calls of a function": b"    return f([count(100) for i in range(9999)])\n\n"
    b"def count(n):\n    t = 0\n    for i in range(n):\n        t = t + i\n    return t\n",
}


@pytest.mark.parametrize("body", GROWING.values(), ids=GROWING)
def test_a_small_source_does_not_take_more_than_the_budget(body: bytes, tmp_path: Path) -> None:
    """All copies and all evaluations of a compilation draw from one budget."""
    (tmp_path / "hostile.py").write_bytes(HEADER + body)
    found = compile_file(str(tmp_path / "hostile.py"), "flow").diagnostics
    assert {"pipeline-too-large", "constant-too-large"} & {item.id for item in found}


def test_an_enumeration_of_many_members(tmp_path: Path) -> None:
    members = "".join(f"    M{number} = {number}\n" for number in range(2_000))
    source = HEADER.decode().replace("n=1", "n: E = E.M1").replace("@step", "class E(Enum):\n@step")
    source = source.replace("class E(Enum):\n", f"class E(Enum):\n{members}\n\n", 1)
    path = tmp_path / "hostile.py"
    path.write_text(f"from enum import Enum\n{source}    return f(n)\n")
    (parameter,) = compile_file(str(path)).program.parameters  # type: ignore[union-attr]
    assert len(parameter.type.values) == 2_000


@pytest.mark.parametrize(
    ("name", "rule"),
    [("missing.py", "file-not-found"), (".", "file-not-found"), ("a\0b.py", "file-not-found")],
)
def test_what_is_not_a_file(name: str, rule: str, tmp_path: Path) -> None:
    compilation = compile_file(f"{tmp_path}/{name}")
    assert [item.id for item in compilation.diagnostics] == [rule]


@pytest.mark.parametrize("name", ["flow.py", "pyproject.toml", "params.json"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "flow.py").write_bytes(HEADER + b"    return f(n)\n")
    (tmp_path / "params.json").touch()
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    command = [str(Path(sys.executable).parent / "levada"), "run", "flow.py"]
    done = subprocess.run(
        [*command, "--params-file", "params.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (1, 2)
    assert "not a regular file" in done.stderr
    assert "Traceback" not in done.stderr


SIDE_EFFECTS = """
import os, sys, socket
import helper_with_effects
from levada import Resources, pipeline, step

open("touched-by-module", "w").write("x")
os.system("touch touched-by-shell")
print("printed")

def decorate(function):
    open("touched-by-decorator", "w")
    return function

class Meta(type):
    def __new__(cls, *args):
        os.mkdir("touched-by-metaclass")
        return super().__new__(cls, *args)

class Report(metaclass=Meta):
    field: os.system("touch touched-by-annotation") = 1

@step(retry=3, resources=Resources(cpu=1))
@decorate
def f(x: int = len(os.listdir(".")), y=open("touched-by-default", "w")) -> int:
    return helper_with_effects.work(x)

@pipeline(tags=["a"])
def flow(n: int = 1):
    return f(n)

raise SystemExit(3)
"""

AUDIT = """
import sys
events = []
def hook(event, args):
    if event == "open" and isinstance(args[1], str) and args[1] and set(args[1]) & set("wax+"):
        events.append((event, args[:2]))
    elif event in ("os.system", "subprocess.Popen", "os.exec", "os.mkdir", "socket.connect", "exec",
                   "os.listdir", "os.remove", "os.rename", "os.fork", "os.posix_spawn"):
        if event == "exec" and "effects" not in args[0].co_filename:
            return  # the standard library makes its own classes with exec
        if event == "os.listdir" and ("/lib/python" in str(args[0]) or args[0] in sys.path):
            return  # looks for a module of the standard library, or for what is installed
        events.append((event, str(args)))
    elif event == "import" and args[0] in ("effects", "helper_with_effects"):
        events.append((event, args[0]))
from levada_compiler.compilation import compile_file
sys.addaudithook(hook)
compilation = compile_file("effects.py")
assert compilation.program is not None, compilation.diagnostics
assert not {"effects", "helper_with_effects"} & set(sys.modules)
print(events)
"""


def test_compiling_runs_nothing_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "effects.py").write_text(SIDE_EFFECTS)
    (tmp_path / "helper_with_effects.py").write_text(
        'open("touched-by-helper", "w")\ndef work(x):\n    return x\n'
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", AUDIT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "effects.py",
        "helper_with_effects.py",
    ]


STEP = "from typing import NamedTuple, Union\nfrom levada import pipeline, step\n"
DEPTH = 40


def doubled(first: str, line: str) -> str:
    """Lines of which each names the one before it twice."""
    return first + "".join(line.format(new=at + 1, old=at) for at in range(DEPTH))


#: Sources of a few kilobytes whose meaning is exponentially large, and the rules that refuse them.
DOUBLING = {
    "aliases": (
        doubled("T0 = int\n", "T{new} = dict[str, Union[T{old}, list[T{old}]]]\n")
        + f"@step\ndef f(x: T{DEPTH}) -> T{DEPTH}: return x\n"
        + "@pipeline\ndef p(): f(f({}))\n",
        set(),
    ),
    "classes": (
        doubled(
            "class N0(NamedTuple):\n    a: int\n",
            "class N{new}(NamedTuple):\n    a: N{old}\n    b: N{old}\n",
        )
        + f"@step\ndef f(x: N{DEPTH}) -> N{DEPTH}: return x\n"
        + f"@pipeline\ndef p(x: N{DEPTH}): f(x)\n",
        {"parameter-type"},
    ),
    "pipelines": (
        "@step\ndef f(x: int) -> None: ...\n"
        + doubled(
            "@pipeline\ndef p0(): f(1)\n", "@pipeline\ndef p{new}():\n    p{old}()\n    p{old}()\n"
        ),
        {"pipeline-too-large"},
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", DOUBLING)
def test_what_doubles_with_every_line_is_bounded(name: str, tmp_path: Path) -> None:
    source, rules = DOUBLING[name]
    path = tmp_path / "hostile.py"
    path.write_text(STEP + source)
    pipeline = f"p{DEPTH}" if name == "pipelines" else "p"
    found = compile_file(str(path), pipeline)
    assert {item.id for item in found.diagnostics if item.severity.value == "error"} == rules
