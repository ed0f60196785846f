"""A compiled pipeline means what Python means: same outputs, same steps in the same order."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.program.verify import verify

from tests.compiler.meaning import Meaning
from tests.conformance.case import Case, all_cases
from tests.conformance.plain import as_annotated
from tests.conformance.traced import Calls, load, traced


def outcome(run: Callable[[], Any], trace: Calls) -> tuple[Any, Calls]:
    trace.clear()
    try:
        result = run()
    except Exception as error:  # noqa: BLE001 - a failure is an outcome
        result = f"{type(error).__name__}: {error}"
    return result, list(trace)


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    """Modules of one case are not those of the next."""
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        sys.modules.pop(name)


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_conformance_case_compiles_to_its_own_meaning(case: Case, tmp_path: Path) -> None:
    compilation = compile_file(str(case.module), case.pipeline)
    assert compilation.program is not None, compilation.diagnostics
    assert verify(compilation.program) == []
    trace: Calls = []
    module = load(case.module, case.module.parent)
    steps = traced(module, trace)
    given = case.given(tmp_path / "run")
    function = getattr(module, case.pipeline)
    plain, plain_trace = outcome(lambda: function(**as_annotated(function, given)), trace)
    shutil.rmtree(tmp_path / "run")
    parameters = defaults(compilation.program) | case.given(tmp_path / "run")
    result, result_trace = outcome(Meaning(compilation.program, steps, parameters).run, trace)
    # Arguments are compared without what differs from process to process.
    assert [name for name, _ in result_trace] == [name for name, _ in plain_trace]
    assert repr(result) == repr(plain)


def defaults(program: Any) -> dict[str, Any]:
    import json

    return {p.name: json.loads(p.default) for p in program.parameters if p.default is not None}
