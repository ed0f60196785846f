"""Loops that run no step mean what they mean in Python, by the program and by its texts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from levada import expressions, values
from levada.store import open_store
from levada_compiler.compilation import compile_file
from levada_compiler.program import ir
from levada_compiler.program.expression_text import ExpressionWriter
from levada_compiler.program.verify import verify

from tests.compiler.meaning import Meaning
from tests.compiler.random_loops import Loops
from tests.conformance.traced import load

#: What may be said of a random pipeline: its constants may not be computable.
KNOWN = {"constant-error", "after-loop", "unused-result"}


def outcome(run: Callable[[], Any]) -> str:
    try:
        return repr(run())
    except Exception as error:  # noqa: BLE001 - a failure is an outcome
        return f"{type(error).__name__}: {error}"


def evaluated(program: ir.Program, given: dict[str, Any], folder: Path) -> Any:
    """What the texts that a target would carry give."""
    writer, store = ExpressionWriter(program), open_store(str(folder / "store"))
    trees = {name: values.encode(value, store) for name, value in given.items()}
    scope = expressions.Scope(trees, {}, store, definitions=writer.definitions())  # type: ignore[arg-type]
    for name in program.result.after:
        expressions.named(name, scope)
    found = [expressions.value(writer.text(value), scope) for value in program.result.values]
    return tuple(found) if program.result.kind == "tuple" else found[0]


@pytest.mark.parametrize("seed", range(120))
def test_a_random_loop_means_what_python_means(seed: int, tmp_path: Path) -> None:
    loops, path = Loops(seed), tmp_path / f"loops_{seed}.py"
    path.write_text(loops.module())
    (tmp_path / "pyproject.toml").touch()
    compilation = compile_file(str(path))
    program = compilation.program
    if program is None:
        assert KNOWN.issuperset(item.id for item in compilation.diagnostics)
        assert any(item.id == "constant-error" for item in compilation.diagnostics)
        return
    assert verify(program) == []
    flow = load(path, tmp_path).flow
    for _ in range(3):
        given = loops.given()
        expected = outcome(lambda given=given: flow(**copy.deepcopy(given)))  # type: ignore[misc]
        assert outcome(lambda given=given: Meaning(program, {}, given).run()) == expected  # type: ignore[misc]
        assert outcome(lambda given=given: evaluated(program, given, tmp_path)) == expected  # type: ignore[misc]


def test_a_body_of_many_statements_is_not_nested_too_deep(tmp_path: Path) -> None:
    lines = ["a = 1", "for x in xs:", *[f"    a = (a * 3 + x + {k}) % 1009" for k in range(400)]]
    body = "".join(f"    {line}\n" for line in [*lines, "return a"])
    path = tmp_path / "long_loop.py"
    path.write_text(f"from levada import pipeline\n\n@pipeline\ndef flow(xs: list[int]):\n{body}")
    program = compile_file(str(path)).program
    assert program is not None
    flow = load(path, tmp_path).flow
    assert evaluated(program, {"xs": [1, 2]}, tmp_path) == flow([1, 2])
