"""The function of a step: finding it, calling it, and what its code says."""

from __future__ import annotations

import os
import sys

from levada.errors import StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType, ModuleType
    from typing import Any

    from levada.request import StepRequest


def import_function(request: StepRequest) -> Callable[..., object]:
    """Import the function of a step.

    Raises StepError if its module does not have it, and whatever importing the module raises.
    """
    from importlib import import_module

    name = request.step["module"]
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        error.add_note(_import_hint(error.name or "", name, request.roots))
        raise
    _check_origin(module, request.roots)
    function = _function_of(module, request.step["function"])
    if function is None:
        raise StepError(f"the module {name!r} has no function {request.step['function']!r}")
    found: Callable[..., object] = function
    return found


def _function_of(module: ModuleType, name: str) -> Callable[..., object] | None:
    """Return a module's function; that of ``pipeline.step`` is within a pipeline."""
    if "." not in name:
        found: Callable[..., object] | None = getattr(module, name, None)
        return found
    from levada import nested_steps

    return nested_steps.function_of(module, name)


def _check_origin(module: ModuleType, roots: list[str]) -> None:
    """A project's ``random.py`` is not what is imported where Python's own is loaded already."""
    top = module.__name__.partition(".")[0]
    if module.__name__ == "levada.run_values":  # its functions are steps of Levada's own
        return
    if top not in sys.stdlib_module_names and top != "levada":
        return
    place = os.path.realpath(getattr(module, "__file__", None) or os.sep)
    if not any(place.startswith(os.path.realpath(root) + os.sep) for root in roots):
        raise StepError(
            f"the step's module is called {top!r}, as one that Python has loaded before; rename it"
        )


def package_folder(name: str) -> list[str]:
    """Return the folder of the package that a step's module is in, as far as it is imported."""
    top = sys.modules.get(name.partition(".")[0])
    return list(getattr(top, "__path__", ()))


def _import_hint(missing: str, module: str, roots: list[str]) -> str:
    if missing and (module == missing or module.startswith(missing + ".")):
        places = ", ".join(roots)
        return f"the step's module was looked for in {places} and in what {sys.executable} has"
    return f"{missing!r} is not installed here; name its distribution in requirements=[…]"


def call(function: Callable[..., object], inputs: Mapping[str, object]) -> object:
    """Call with the inputs by name, but those by position that have no name for a caller."""
    code = _code_with(function, inputs)
    if code is None:
        return function(**inputs)
    named: dict[str, Any] = dict(inputs)
    parameters = code.co_varnames
    count = code.co_argcount
    place = count + code.co_kwonlyargcount
    variadic, keywords = bool(code.co_flags & 0x04), bool(code.co_flags & 0x08)
    extra = tuple(named.pop(parameters[place], ())) if variadic else ()
    if keywords:
        named |= named.pop(parameters[place + variadic], {})
    by_position = count if extra or _takes_no_names(function) else code.co_posonlyargcount
    first = []
    for name in parameters[:by_position]:
        if name not in named:  # what follows has to be given by name
            break
        first.append(named.pop(name))
    return function(*first, *extra, **named)


def _code_with(function: Callable[..., object], names: Iterable[str]) -> CodeType | None:
    """Return the innermost code that has parameters of these names, else the innermost one.

    A decorator that uses functools.wraps hides the parameters of the function; of a step that is
    made of a function without source only the parameters of what calls it are known.
    """
    found: list[CodeType] = []
    wrapped: object = function
    while wrapped is not None:
        if (code := getattr(wrapped, "__code__", None)) is not None:
            found.insert(0, code)
        wrapped = getattr(wrapped, "__wrapped__", None)
    fitting = (code for code in found if set(names) <= _parameters(code))
    return next(fitting, found[0] if found else None)


def _parameters(code: CodeType) -> set[str]:
    count = code.co_argcount + code.co_kwonlyargcount
    variable = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return set(code.co_varnames[: count + variable])


def _takes_no_names(function: Callable[..., object]) -> bool:
    """Whether it is of the form ``def wrapper(*args)``."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_flags & 0x0C == 0x04 and code.co_argcount == 0


def innermost(function: Any) -> object:
    """Return the function below its decorators, as far as they say what they wrap."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def first_line(function: Callable[..., object]) -> int | None:
    """Return the line that a function starts at, with its decorators; None if it has no code."""
    line: int | None = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
    return line


def definition(function: object) -> tuple[str, int, str] | None:
    """Return the file, the line of the ``def`` (after decorators) and the name of a function."""
    import linecache

    code = getattr(function, "__code__", None)
    if code is None:
        return None
    first = code.co_firstlineno
    lines = linecache.getlines(code.co_filename)[first - 1 :]
    skipped = next((n for n, line in enumerate(lines) if line.lstrip().startswith("def ")), 0)
    return code.co_filename, first + skipped, code.co_name


def texts_in(function: Callable[..., object]) -> list[str]:
    """Return the texts in the code of a function, and of the functions in it, and its defaults."""
    codes: list[object] = []
    defaults: list[object] = []
    each: Callable[..., object] | None = function
    while each is not None:
        codes.append(getattr(each, "__code__", None))
        defaults += getattr(each, "__defaults__", None) or ()
        defaults += (getattr(each, "__kwdefaults__", None) or {}).values()
        each = getattr(each, "__wrapped__", None)
    found = [each for each in defaults if isinstance(each, str)]
    while codes:
        constants = getattr(codes.pop(), "co_consts", ())
        found += [each for each in constants if isinstance(each, str)]
        codes += [each for each in constants if hasattr(each, "co_consts")]
    return found
