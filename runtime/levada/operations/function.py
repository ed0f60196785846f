"""What a function or method of expressions is: what computes it, and what that costs."""

from __future__ import annotations

from levada.operations.plain import KINDS, extent, listed, loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias, TypedDict

    from levada.operations.budget import Budget

    #: What a call is given: a function takes its attributes for granted, as Python does.
    Arguments: TypeAlias = "Sequence[Any]"
    Keywords: TypeAlias = "Mapping[str, Any]"
    #: Pays for what the arguments of a call do not say by their size.
    Price = Callable[[Budget, Arguments, Keywords], None]

    class FunctionOptions(TypedDict, total=False):
        """The keywords of `Function`."""

        price: Price
        run: Callable[..., object]
        first: str
        iterates: int
        passes_on: bool


_CALL = 5  #: steps that any call takes


class Function:
    """A function of Python's that expressions may call.

    ``qualified`` is its name in Python, ``name`` the one in expressions. ``price`` pays for what
    its arguments do not say by their size. ``run`` computes it where Python's own may not see the
    arguments, and takes the budget first. ``first`` is the first parameter's name, if it may be
    given by that. From the position ``iterates`` on, arguments are made lists before if they have
    no order or can be used once. A function that ``passes_on`` does not look into the items of
    its arguments.
    """

    __slots__ = ("_target", "first", "iterates", "name", "passes_on", "price", "qualified", "run")

    def __init__(
        self,
        qualified: str,
        name: str,
        *,
        price: Price | None = None,
        run: Callable[..., object] | None = None,
        first: str = "",
        iterates: int | None = None,
        passes_on: bool = False,
    ) -> None:
        self._target: object = None
        self.qualified = qualified
        self.name = name
        self.price = price
        self.run = run
        self.first = first
        self.iterates = iterates
        self.passes_on = passes_on

    def __repr__(self) -> str:
        return self.name

    def target(self) -> Any:
        """Return Python's own, imported when it is first asked for."""
        if self._target is not None:
            return self._target
        module, *path = self.qualified.split(".")
        if module == "os":
            module, path = "posixpath", path[1:]  # the same on any machine
        found: Any = __import__(module)
        for name in path:
            found = getattr(found, name)
        self._target = found
        return found

    def call(
        self,
        arguments: Sequence[object],
        keywords: Mapping[str, object],
        budget: Budget,
        target: Callable[..., object] | None = None,
    ) -> object:
        """Call it, or the method ``target`` with its receiver as the first argument."""
        budget.spend(_CALL if self.qualified.startswith(("builtins", "math")) else 2 * _CALL)
        arguments, keywords = list(arguments), dict(keywords)
        if self.first in keywords and not arguments:
            arguments = [keywords.pop(self.first)]
        if not self.passes_on:
            arguments = [loaded(argument, budget) for argument in arguments]
            keywords = {name: loaded(value, budget) for name, value in keywords.items()}
        if self.iterates is not None:
            start = self.iterates
            arguments[start:] = [listed(argument, budget) for argument in arguments[start:]]
            keywords = {name: listed(value, budget) for name, value in keywords.items()}
        if self.run is None and not self.passes_on:
            measured = extent(budget, *arguments, *keywords.values())
            budget.spend(measured.steps, 4 * measured.text + measured.bits)
        if self.price is not None:
            self.price(budget, arguments, keywords)
        if self.run is not None:
            return self.run(budget, *arguments, **keywords)
        return (target or self.target())(*arguments, **keywords)


def argument(
    arguments: Sequence[object], keywords: Mapping[str, object], position: int, name: str
) -> Any:
    """Return the argument of a parameter, None if it is not given."""
    return arguments[position] if position < len(arguments) else keywords.get(name)


KINDS[Function] = "function"
