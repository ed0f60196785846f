"""What the names in an expression mean."""

from __future__ import annotations

from levada.expressions.texts import names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Final, Protocol

    from levada.operations.walker import Variable
    from levada.record_types import ErrorPart
    from levada.store import Store
    from levada.trees.tree_types import Tree

    class Nodes(Protocol):
        """What an expression can ask about the nodes of a run."""

        def __contains__(self, node: object, /) -> bool:
            """Whether there is a node of this id."""

        def output(self, node: str, indexes: tuple[int, ...]) -> Tree:
            """Return the tree that a node returned, in the iteration with these indexes."""

        def failed(self, node: str, indexes: Mapping[str, int]) -> bool:
            """Whether it failed, where the variables of loops are at these indexes."""

        def error(self, nodes: Sequence[str], indexes: Mapping[str, int]) -> ErrorPart | None:
            """Return the error of the first of these nodes that failed, as a record has it."""

    Key = tuple[str | Variable, ...]


#: Calls whose answer depends on the iteration, though they name no variable.
_OF_ITERATIONS: Final = ("catches(", "error(", "failed(", "raises(")


class Scope:
    """What the names in an expression mean.

    ``parameters`` are trees by name, ``nodes`` the nodes of the run, and ``variables`` those of
    the enclosing loops, outermost first. ``definitions`` are names that stand for the values of
    other texts in the same scope. Each is evaluated when it is first used, and remembered.
    """

    __slots__ = ("definitions", "nodes", "parameters", "store", "variables")

    def __init__(
        self,
        parameters: Mapping[str, Tree],
        nodes: Nodes,
        store: Store,
        variables: Mapping[str, Variable] | None = None,
        definitions: Mapping[str, str] | None = None,
    ) -> None:
        self.parameters = parameters
        self.nodes = nodes
        self.store = store
        self.variables: Mapping[str, Variable] = variables or {}
        self.definitions = Definitions(definitions or {})

    def within(self, variables: Mapping[str, Variable]) -> Scope:
        """Return the scope in an iteration of one more loop."""
        inner = Scope(self.parameters, self.nodes, self.store, {**self.variables, **variables})
        inner.definitions = self.definitions
        return inner


class Outcome:
    """What evaluating a definition gave: a value, or what it raised."""

    __slots__ = ("error", "value")

    def __init__(self, value: object, error: Exception | None = None) -> None:
        self.value = value
        self.error = error

    def result(self) -> object:
        """Return the value, or raise what was raised."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        return self.value


class Definitions:
    """The definitions of a scope, with what they gave so far.

    A definition has one outcome for each iteration of those loops that it depends on.
    """

    __slots__ = ("_depends", "outcomes", "texts")

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts
        self.outcomes: dict[Key, Outcome] = {}
        self._depends: dict[tuple[str, frozenset[str]], frozenset[str]] = {}

    def longest(self, parts: list[str]) -> str | None:
        """Return the longest beginning of a dotted name that is a definition."""
        for length in range(len(parts), 0, -1) if self.texts else ():
            name = ".".join(parts[:length])
            if name in self.texts:
                return name
        return None

    def key(self, name: str, variables: Mapping[str, Variable]) -> Key:
        """Return what the outcome of a definition is remembered by."""
        if not variables:
            return (name,)
        depends = self._dependence(name, frozenset(variables))
        return (name, *(variables[variable] for variable in sorted(depends)))

    def in_order(self, name: str, is_done: Callable[[str], bool]) -> Iterator[str]:
        """Return a definition after all that it needs, each after what that needs in turn.

        Those that are done are left out. Walks without recursion: a chain of definitions may be
        thousands long.
        """
        stack = [name]
        entered: set[str] = set()
        left: set[str] = set()
        while stack:
            current = stack[-1]
            if current not in entered:
                entered.add(current)
                needed = (o for o in self._needed_by(current) if o not in entered)
                stack += [other for other in needed if not is_done(other)]
                continue
            stack.pop()
            if current not in left:
                left.add(current)
                yield current

    def _needed_by(self, name: str) -> list[str]:
        """Return the definitions that the text of a definition mentions."""
        found = (self.longest(dotted.split(".")) for dotted in sorted(names_in(self.texts[name])))
        return [other for other in found if other is not None]

    def _dependence(self, name: str, variables: frozenset[str]) -> frozenset[str]:
        """Return the variables that a definition depends on, itself or through others."""
        known = self._depends
        if (name, variables) not in known:
            for needed in self.in_order(name, lambda other: (other, variables) in known):
                words = {dotted.partition(".")[0] for dotted in names_in(self.texts[needed])}
                others = (known.get((o, variables), ()) for o in self._needed_by(needed))
                # What failed is asked by the id of a node: the variables say in which iteration.
                asks = any(call in self.texts[needed] for call in _OF_ITERATIONS)
                own = variables if asks else variables.intersection(words)
                known[needed, variables] = own.union(*others)
        return known[name, variables]
