"""What a pipeline module declares: steps and pipelines.

A decorator checks the settings and returns the function itself, so that a pipeline is ordinary
Python. The compiler never runs this module's users; it reads the same settings from the source
and gives them the same meaning with :func:`levada.settings.setting_as_json`.

The types that a type checker sees are in ``declarations.pyi``: nothing is imported here, since
every step of every pipeline pays for it.
"""

import sys

from .settings import CALL, NOT_OF_CONTAINERS, POSITIVE, setting_as_json

_COROUTINE, _ASYNC_GENERATOR, _GENERATOR = 0x80, 0x200, 0x20


class PermanentError(Exception):
    """Raised by a step whose failure would be the same again: it is not retried."""


def step(function=None, /, **settings):
    """Declare a function as a step, or make a step of a function that exists.

    As a decorator, ``@step`` or ``@step(retry=3, …)``, it returns the function itself. Given a
    function that its module has already, ``task = step(function, name="task", retry=3)``, it
    returns another one that calls it, with the name ``name``: the function is left as it is.

    Raises TypeError or ValueError for a setting that does not exist or has no meaning, and for
    what is not a function.
    """
    if function is None:
        return _declare("step", None, settings)
    name = settings.pop("name", None)
    if name is not None and not _identifier(name):
        raise ValueError(f"the name of a step must be a Python identifier, not {name!r}")
    if name is not None or _exists(function):
        function = _calling(function, name)
    return _declare("step", function, settings)


def container(
    image, /, *, command=None, args=None, inputs=None, outputs=None, name=None, **settings
):
    """Make a step that runs a program of an image that someone else has made.

    ``inputs`` and ``outputs`` are names with their types. The program finds each input at
    ``/levada/in/<name>`` and writes each output to ``/levada/out/<name>``::

        count = container("busybox:1.36", command=["sh", "-c"],
                          args=["wc -l < /levada/in/data > /levada/out/lines"],
                          inputs={"data": Path}, outputs={"lines": int})

    A call gives the output, a named tuple of several, or None. In plain Python it runs the program
    with the command ``docker``.

    Raises TypeError or ValueError for what has no meaning.
    """
    from .programs import Declared

    if name is not None and not _identifier(name):
        raise ValueError(f"the name of a step must be a Python identifier, not {name!r}")
    declared = Declared(image, command, args, inputs, outputs)
    for each in NOT_OF_CONTAINERS:
        if each in settings:
            raise TypeError(f"a container step has no setting {each!r}")

    def call(**inputs):
        return declared.call(call.__name__, call.__levada__["settings"], inputs)

    call.__name__ = name or "container"
    return _declare("step", call, settings)


def pipeline(function=None, /, **settings):
    """Declare a function as a pipeline; ``@pipeline`` or ``@pipeline(schedule="0 6 * * *")``.

    Raises TypeError or ValueError for a setting that does not exist or has no meaning.
    """
    return _declare("pipeline", function, settings)


def after(*nodes):
    """Say that what follows waits for ``nodes``. Plain Python is in order anyway."""


class Loop:
    """``for x in Loop(items, max_parallel=1):`` limits how many iterations run at a time.

    With ``max_parallel=1`` they run one after the other, in order, and none starts after one that
    has failed. Plain Python is in order anyway.

    >>> [depth * 2 for depth in Loop([1, 2], max_parallel=1)]
    [2, 4]

    Raises TypeError or ValueError for a ``max_parallel`` that is not a whole number from 1 on.
    """

    def __init__(self, items, *, max_parallel):
        self.items = items
        self.max_parallel = POSITIVE.read("max_parallel", max_parallel)

    def __iter__(self):
        return iter(self.items)


class parallel:  # noqa: N801  it is written as a call
    """``with parallel():``: the steps of the block need not wait for each other's side effects.

    Plain Python is in order anyway.
    """

    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


def _declare(kind, function, settings):
    meaning = {name: setting_as_json(kind, name, value) for name, value in settings.items()}
    if function is None:
        return lambda function: _mark(kind, function, meaning)
    return _mark(kind, function, meaning)


def _mark(kind, function, settings):
    if not hasattr(function, "__code__"):
        raise TypeError(f"@{kind} goes on a function, not on {function!r}")
    _refuse_deferred(kind, function)

    def options(**overrides):
        for name, value in overrides.items():
            setting_as_json(CALL, name, value)
        return function

    function.after = lambda *_: function
    function.options = options
    function.__levada__ = {"kind": kind, "settings": settings}
    return function


def _refuse_deferred(kind, function):
    """Raise TypeError for a function whose call gives no result yet."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & (_COROUTINE | _ASYNC_GENERATOR):
        raise TypeError(f"{function.__name__} is async: a {kind} is an ordinary function")
    if flags & _GENERATOR:
        raise TypeError(f"{function.__name__} yields: a {kind} returns its result, as a list say")


def _exists(function):
    """Whether a function has been defined before: it is no longer being decorated."""
    if not hasattr(function, "__code__"):
        return callable(function)
    module = sys.modules.get(getattr(function, "__module__", None))
    return getattr(module, getattr(function, "__name__", ""), None) is function


def _calling(function, name):
    """A function that calls ``function``. Raises TypeError for what a run could not find."""
    known = getattr(function, "__name__", None)
    if isinstance(function, type) or not callable(function) or known is None:
        raise TypeError(f"a step is made of a function, not of {function!r}")
    bound = getattr(function, "__self__", None)
    if bound is not None and type(bound) is not type(sys):
        raise TypeError(f"a step is made of a function of a module, not of the method {known}")
    if known == "<lambda>" or "<locals>" in getattr(function, "__qualname__", ""):
        raise TypeError(f"a step is made of a function of a module, not of {function!r}")
    _refuse_deferred("step", function)

    def call(*args, **kwargs):
        return function(*args, **kwargs)

    for attribute in ("__module__", "__qualname__", "__doc__", "__type_params__"):
        if hasattr(function, attribute):
            setattr(call, attribute, getattr(function, attribute))
    call.__name__ = name or known
    call.__wrapped__ = function
    return call


def _identifier(name):
    return isinstance(name, str) and name.isidentifier()
