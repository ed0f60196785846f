"""Pipeline modules imported as new, with steps that say when they are called and on what."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import levada
from levada import nested_steps

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

#: The steps that were called, each with the text of its arguments.
Calls = list[tuple[str, str]]


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


def traced(module: types.ModuleType, calls: Calls) -> dict[str, Callable[..., Any]]:
    """Make every step of a module, and of those it imports from, note each call.

    Return the steps by their keys.
    """
    steps: dict[str, Callable[..., Any]] = {}
    wrapped: dict[Any, Callable[..., Any]] = {}

    def wrap(function: Any) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            calls.append((function.__name__, repr(bound.arguments)))
            return function(*args, **kwargs)

        call.after = lambda *_: call  # type: ignore[attr-defined]
        call.options = lambda **_: call  # type: ignore[attr-defined]
        return call

    folder = str(Path(str(module.__file__)).parent)

    def declaring(*given: Any, **settings: Any) -> Any:
        """``@step`` on a function within a pipeline, which is defined when it runs."""
        declared = levada.step(*given, **settings)
        return wrap(declared) if given else lambda function: wrap(declared(function))

    for owner in list(sys.modules.values()):
        if owner is not module and not str(getattr(owner, "__file__", "")).startswith(folder):
            continue
        for name, value in list(vars(owner).items()):
            if getattr(value, "__levada__", {}).get("kind") == "step":
                wrapped.setdefault(value, wrap(value))
                steps[f"{value.__module__}:{value.__name__}"] = value
                setattr(owner, name, wrapped[value])
            elif value is levada.step:
                setattr(owner, name, declaring)
    return Steps({key: wrapped[function] for key, function in steps.items()})


class Steps(dict[str, "Callable[..., Any]"]):
    """Steps by their keys; those within pipelines are defined when they are asked for."""

    def __missing__(self, key: str) -> Callable[..., Any]:
        module, _, name = key.partition(":")
        found = nested_steps.function_of(sys.modules[module], name)
        assert found is not None, key
        return found
