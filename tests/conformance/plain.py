"""Run a case as plain Python and print its trace: `python -m tests.conformance.plain`.

Arguments: the module's path, the pipeline, its parameters as JSON, a folder for the values. The
only thing done to the module is that each step, wherever it is bound, tells what it was given
and what it returned.
"""

from __future__ import annotations

import ast
import base64
import functools
import importlib
import inspect
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_args, get_type_hints, is_typeddict

import levada
from levada import values
from levada.artifact import MaterializerError
from levada.store import open_store

from tests.conformance.case import CASES, Case
from tests.conformance.trace import StepRun, Trace, digest


def run(case: Case, folder: Path, docker_host: str = "") -> Trace:
    """The trace of a case, from a process of its own; `docker_host` runs the programs of a case."""
    given = json.dumps(case.given(folder / "plain"))
    command = [sys.executable, "-m", __name__, case.module.stem, case.pipeline, given]
    command.append(str(folder / "plain-values"))
    variables = os.environ | ({"DOCKER_HOST": docker_host} if docker_host else {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        raise AssertionError(f"plain Python could not run {case.id}:\n{done.stderr}")
    found = Trace.from_json(done.stdout.splitlines()[-1])
    if (found.status == "failed") != case.fails:
        raise AssertionError(f"plain Python {found.status} with {case.id}:\n{done.stderr}")
    return found


#: Types whose values JSON has itself.
_OF_JSON = (bool, int, float, str, list, dict, object, Any)


class Tracer:
    """Wraps steps; the outermost calls are those of the pipeline."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.runs: list[StepRun] = []
        self._inside = False

    def digest(self, value: object) -> str:
        return digest(values.encode(value, self.store), self.store)

    def input(self, value: object) -> str:
        """The digest of what a step is given: of a path that the pipeline has only the name."""
        try:
            return self.digest(value)
        except MaterializerError:
            tree = values.encode(value, self.store, paths_by_name=True)
            return digest(tree, self.store)

    def wrap(self, function: Callable[..., Any], key: str) -> Callable[..., Any]:
        """The step itself, recorded, with `.after` and `.options` as plain Python has them."""

        @functools.wraps(function)
        def traced(*given: Any, **named: Any) -> Any:
            return self._call(function, key, given, named)

        traced.after = lambda *_: traced  # type: ignore[attr-defined]
        traced.options = lambda **_: traced  # type: ignore[attr-defined]
        return traced

    def step(self, *given: Any, **settings: Any) -> Any:
        """``@step`` on a function within a pipeline, which is defined while that runs."""
        declared = levada.step(*given, **settings)

        def traced(function: Callable[..., Any]) -> Callable[..., Any]:
            path = function.__qualname__.replace(".<locals>", "")
            return self.wrap(function, f"{function.__module__}:{path}")

        return traced(declared) if given else lambda function: traced(declared(function))

    def _call(self, function: Callable[..., Any], key: str, given: Any, named: Any) -> Any:
        if self._inside:
            return function(*given, **named)
        bound = inspect.signature(function).bind(*given, **named).arguments
        if _is_program(function):  # which takes any name
            bound = named
        inputs = tuple(sorted((name, self.input(value)) for name, value in bound.items()))
        self._inside = True
        try:
            result = function(*given, **named)
        except Exception:
            self.runs.append(StepRun(key, inputs, ""))
            raise
        finally:
            self._inside = False
        self.runs.append(StepRun(key, inputs, self.digest(result)))
        return result


def trace(name: str, pipeline: str, given: dict[str, Any], folder: str) -> Trace:
    """Import the case's module, record its steps, call the pipeline."""
    sys.path.insert(0, str(CASES))
    module = importlib.import_module(name)
    tracer = Tracer(open_store(folder))
    _record_steps(tracer)
    try:
        function = getattr(module, pipeline)
        result = function(**as_annotated(function, given))
    except Exception:  # noqa: BLE001 - whatever a step raises is the end of a run
        traceback.print_exc()
        return Trace("failed", (), tuple(tracer.runs))
    outputs = _outputs(module, pipeline, result)
    digests = tuple(tracer.digest(value) for value in outputs)
    return Trace("succeeded", digests, tuple(tracer.runs))


def as_annotated(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """The parameters as their annotations say, by pydantic, which knows nothing of Levada."""
    hints = get_type_hints(function, include_extras=True)
    return {name: _as_annotated(hints.get(name), value) for name, value in given.items()}


def _as_annotated(hint: Any, value: Any) -> Any:
    members = [hint, *get_args(hint)]
    if hint is None or hint in _OF_JSON or any(map(is_typeddict, members)):
        return value
    if hint is bytes:
        return base64.b64decode(value)
    if hint is datetime:  # pydantic's has a time zone of its own
        return datetime.fromisoformat(value)
    from pydantic import TypeAdapter

    return TypeAdapter(hint).validate_json(json.dumps(value))


def _outputs(module: ModuleType, pipeline: str, result: Any) -> list[Any]:
    """What the `return` lists: the parts of what it makes there, else one value or none."""
    function = ast.parse(inspect.getsource(getattr(module, pipeline))).body[0]
    assert isinstance(function, ast.FunctionDef)
    nested = [node for node in function.body if isinstance(node, ast.FunctionDef)]
    others = {node for each in nested for node in ast.walk(each)}
    nodes = [node for node in ast.walk(function) if node not in others]
    returns = [node.value for node in nodes if isinstance(node, ast.Return)]
    made = returns[-1] if returns else None
    if made is None:
        return []
    if isinstance(made, ast.Dict):
        return list(result.values())
    is_class = isinstance(made, ast.Call) and isinstance(made.func, ast.Name)
    if is_class and isinstance(getattr(module, made.func.id, None), type):
        return [getattr(result, name) for name in type(result).__annotations__]
    return list(result) if isinstance(made, ast.Tuple) else [result]


def _record_steps(tracer: Tracer) -> None:
    wrapped: dict[Callable[..., Any], Callable[..., Any]] = {}
    for module in list(sys.modules.values()):
        if not str(getattr(module, "__file__", None)).startswith(str(CASES)):
            continue
        for name, value in list(vars(module).items()):
            if not isinstance(value, FunctionType):
                continue
            if value is levada.step:
                setattr(module, name, tracer.step)
            elif _is_program(value):
                setattr(module, name, tracer.wrap(value, f"{module.__name__}:{name}"))
            elif _is_step(value):
                key = f"{value.__module__}:{value.__name__}"
                wrapped.setdefault(value, tracer.wrap(value, key))
                setattr(module, name, wrapped[value])


def _is_program(function: Callable[..., Any]) -> bool:
    """Whether it is what `container(…)` gives."""
    return function.__qualname__ == "container.<locals>.call"


def _is_step(function: FunctionType) -> bool:
    lines = inspect.getsource(function).splitlines()
    return any(line.startswith("@step") for line in lines)


if __name__ == "__main__":
    found = trace(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
    print()
    print(found.as_json())
