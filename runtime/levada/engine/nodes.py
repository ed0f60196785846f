"""What expressions can ask about the nodes of a run that goes on."""

from __future__ import annotations

from levada.expressions import ExpressionError
from levada.trees.canonical import leaf_of

from .instances import SUCCEEDED, Instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada.record_types import ErrorPart
    from levada.trees.tree_types import Tree

    from .definitions import Definitions
    from .instances import Failure


class RunNodes:
    """The nodes of one run: what they returned, and whether they failed."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._instances: dict[tuple[str, tuple[int, ...]], Instance] = {}
        #: by node, and by each prefix of the map indexes of its failures, the first of these
        self._failures: dict[str, dict[tuple[int, ...], Failure]] = {}

    def add(self, instance: Instance) -> None:
        """Have an instance found under its key."""
        self._instances[instance.key] = instance

    def add_failure(self, instance: Instance) -> None:
        """Note that a node failed, for its own iteration and for all loops around it."""
        name, index = instance.key
        found = self._failures.setdefault(name, {})
        failure = instance.failure
        for length in range(len(index) + 1):
            earlier = found.get(index[:length])
            if failure is not None and (earlier is None or failure.rank < earlier.rank):
                found[index[:length]] = failure

    def calls(self) -> list[Instance]:
        """The instances of calls, in the order in which they came up."""
        return [i for i in self._instances.values() if i.definition.kind == "call"]

    def __contains__(self, node: object) -> bool:
        return node in self._definitions.by_id

    def output(self, node: str, indexes: tuple[int, ...]) -> Tree:
        """The tree that a call returned. Raises ExpressionError if it has not succeeded."""
        instance = self._instances.get((node, indexes))
        if instance is None or instance.state != SUCCEEDED or instance.returned is None:
            state = "not run" if instance is None else instance.state
            raise ExpressionError(f"`{node}` has no output: it was {state}")
        return leaf_of(instance.returned.as_json())

    def failed(self, node: str, indexes: Mapping[str, int]) -> bool:
        """Whether a node failed, in the iteration that the loop variables stand at."""
        return self._failure(node, indexes) is not None

    def error(self, nodes: Sequence[str], indexes: Mapping[str, int]) -> ErrorPart | None:
        """The error of the first of these nodes that failed, in the order of plain Python."""
        found = [failure for node in nodes if (failure := self._failure(node, indexes))]
        return min(found, key=lambda failure: failure.rank).error if found else None

    def _failure(self, node: str, indexes: Mapping[str, int]) -> Failure | None:
        if node not in self._definitions.by_id:
            return None
        prefix: list[int] = []
        for loop in self._definitions.by_id[node].loops:
            variable = loop.variables[0]
            if variable not in indexes:
                break
            prefix.append(indexes[variable])
        return self._failures.get(node, {}).get(tuple(prefix))
