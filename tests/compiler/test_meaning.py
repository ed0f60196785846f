"""A compiled pipeline means what Python means: same outputs, same steps in the same order."""

from __future__ import annotations

import importlib.util
import inspect
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada_compiler.compilation import compile_file
from levada_compiler.program.verify import verify

from tests.compiler.meaning import Meaning
from tests.compiler.random_pipelines import PARAMETERS, modules
from tests.conformance.case import Case, all_cases
from tests.conformance.plain import as_annotated

Trace = list[tuple[str, str]]


def load(path: Path, folder: Path) -> types.ModuleType:
    """Import a pipeline module by its path, as new."""
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def traced(module: types.ModuleType, trace: Trace) -> dict[str, Callable[..., Any]]:
    """Make every step of a module (and of those it imports from) say when it is called."""
    steps: dict[str, Callable[..., Any]] = {}
    wrapped: dict[Any, Callable[..., Any]] = {}

    def wrap(function: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            trace.append((function.__name__, repr(bound.arguments)))
            return function(*args, **kwargs)

        call.after = lambda *_: call  # type: ignore[attr-defined]
        call.options = lambda **_: call  # type: ignore[attr-defined]
        return call

    folder = str(Path(str(module.__file__)).parent)
    for owner in list(sys.modules.values()):
        if owner is not module and not str(getattr(owner, "__file__", "")).startswith(folder):
            continue
        for name, value in list(vars(owner).items()):
            if getattr(value, "__levada__", {}).get("kind") == "step":
                wrapped.setdefault(value, wrap(value))
                steps[f"{value.__module__}:{value.__name__}"] = value
                setattr(owner, name, wrapped[value])
    return {key: wrapped[function] for key, function in steps.items()}


def outcome(run: Callable[[], Any], trace: Trace) -> tuple[Any, Trace]:
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
    trace: Trace = []
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


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(source=modules(), parameters=st.sampled_from(PARAMETERS))
def test_random_pipeline_means_what_python_means(
    source: str, parameters: dict[str, Any], tmp_path: Path
) -> None:
    """Or it is refused: both are fine, a difference is not."""
    path = tmp_path / "random_pipeline.py"
    path.write_text(source)
    compilation = compile_file(str(path), "flow")
    if compilation.program is None:
        assert compilation.diagnostics
        return
    assert verify(compilation.program) == []
    trace: Trace = []
    module = load(path, tmp_path)
    steps = traced(module, trace)
    plain = outcome(lambda: module.flow(**parameters), trace)
    assert outcome(Meaning(compilation.program, steps, dict(parameters)).run, trace) == plain
