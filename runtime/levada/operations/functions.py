"""The functions that expressions may call, by their names there."""

from __future__ import annotations

from functools import lru_cache

from levada.operations.builtin_functions import BUILTINS
from levada.operations.errors import UnsupportedError
from levada.operations.function import Function
from levada.operations.names import RESERVED
from levada.operations.plain import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from levada.operations.budget import Budget
    from levada.operations.function import Arguments, Keywords

    FUNCTIONS: Final[dict[str, Function]] = {}  #: all of them, by name
    #: Constants of libraries that expressions know: from their names there to those in Python.
    CONSTANTS: Final[dict[str, str]] = {}
    #: From the qualified names of Python (``datetime.date``, ``builtins.len``) to those here.
    QUALIFIED: Final[dict[str, str]] = {}


def __getattr__(name: str) -> Any:
    """Make the tables when they are asked for: most expressions need builtin functions alone."""
    if name not in ("FUNCTIONS", "CONSTANTS", "QUALIFIED"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in globals():
        return globals()[name]
    from levada.operations import library_functions, number_functions

    tables = (number_functions.TABLE, library_functions.TABLE)
    functions = BUILTINS | {function.name: function for table in tables for function in table}
    constants = library_functions.CONSTANTS
    qualified = {function.qualified: function.name for function in functions.values()}
    globals().update(
        FUNCTIONS=functions,
        CONSTANTS=constants,
        QUALIFIED={
            **qualified,
            **{qualified: name for name, qualified in constants.items()},
            "datetime.UTC": "timezone.utc",
            **{
                name.replace("os.path", "posixpath"): name
                for name in functions
                if name[:3] == "os."
            },
        },
    )
    return globals()[name]


def call(name: str, arguments: Arguments, keywords: Keywords, budget: Budget) -> object:
    """Call a function by its name in expressions. Raises UnsupportedError if there is none.

    >>> from levada.operations import Budget
    >>> call("math.floor", [2.5], {}, Budget())
    2
    """
    function = named(name)
    if function is None:
        raise UnsupportedError(f"`{name}(…)` cannot be called in a pipeline: call it in a step")
    return function.call(arguments, keywords, budget)


@lru_cache(maxsize=1024)
def named(name: str) -> Function | None:
    """Return the function of a name; a method by its type's name is one, such as ``str.lower``."""
    if name in BUILTINS:
        return BUILTINS[name]
    owner, _, method = name.rpartition(".")
    if name.partition(".")[0] not in RESERVED:
        return None
    functions: dict[str, Function] = __getattr__("FUNCTIONS")
    found = functions.get(name)
    if found is None and owner in functions:
        from levada.operations.methods import METHODS

        if method in METHODS.get(owner, ()):
            return Function(name, name, run=_unbound(functions[owner], method))
    return found


def _unbound(cls: Function, name: str) -> Callable[..., object]:
    """Return what calls a method of a class on its first argument."""
    owner = cls.name

    def run(budget: Budget, /, *arguments: object, **keywords: object) -> object:
        from levada.operations.methods import method

        if not arguments or kind_of(arguments[0]) != owner:
            return getattr(cls.target(), name)(*arguments, **keywords)
        return method(arguments[0], name, arguments[1:], keywords, budget)

    return run


def constant(name: str) -> object:
    """Return the value of a constant of a library by its name in expressions.

    >>> constant("math.pi")
    3.141592653589793
    """
    constants: dict[str, str] = __getattr__("CONSTANTS")
    return Function(constants[name], name).target()
