"""What a pipeline module declares: steps and pipelines.

A decorator checks the settings and returns the function itself, so that a pipeline is ordinary
Python. The compiler never runs this module's users; it reads the same settings from the source
and gives them the same meaning with :func:`levada.settings.setting_as_json`.

The types that a type checker sees are in ``declarations.pyi``: nothing is imported here, since
every step of every pipeline pays for it.
"""

from .settings import CALL, setting_as_json

_COROUTINE, _ASYNC_GENERATOR, _GENERATOR = 0x80, 0x200, 0x20


class PermanentError(Exception):
    """Raised by a step whose failure would be the same again: it is not retried."""


def step(function=None, /, **settings):
    """Declare a function as a step; ``@step`` or ``@step(retry=3, …)``.

    Raises TypeError or ValueError for a setting that does not exist or has no meaning.
    """
    return _declare("step", function, settings)


def pipeline(function=None, /, **settings):
    """Declare a function as a pipeline; ``@pipeline`` or ``@pipeline(schedule="0 6 * * *")``.

    Raises TypeError or ValueError for a setting that does not exist or has no meaning.
    """
    return _declare("pipeline", function, settings)


def after(*nodes):
    """Say that what follows waits for ``nodes``. Plain Python is in order anyway."""


def _declare(kind, function, settings):
    meaning = {name: setting_as_json(kind, name, value) for name, value in settings.items()}
    if function is None:
        return lambda function: _mark(kind, function, meaning)
    return _mark(kind, function, meaning)


def _mark(kind, function, settings):
    code = getattr(function, "__code__", None)
    if code is None:
        raise TypeError(f"@{kind} goes on a function, not on {function!r}")
    if code.co_flags & (_COROUTINE | _ASYNC_GENERATOR):
        raise TypeError(f"{function.__name__} is async: a {kind} is an ordinary function")
    if code.co_flags & _GENERATOR:
        raise TypeError(f"{function.__name__} yields: a {kind} returns its result, as a list say")

    def options(**overrides):
        for name, value in overrides.items():
            setting_as_json(CALL, name, value)
        return function

    function.after = lambda *_: function
    function.options = options
    function.__levada__ = {"kind": kind, "settings": settings}
    return function
