"""What an earlier run of the same pipeline gave: for one that tries again what failed in it."""

from __future__ import annotations

from levada import cache, input_classes, records, values
from levada.artifact import Artifact

from .definitions import Definitions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from levada.cache_types import CachedResult
    from levada.plan_types import Plan
    from levada.record_types import Record
    from levada.request import StepRequest
    from levada.store import Store


class EarlierRun:
    """A run of the same pipeline whose results are taken, but for a step and what depends on it.

    ``nodes`` are all nodes of the plan.
    """

    __slots__ = ("_anew", "_index", "nodes", "run_id")

    def __init__(
        self, run_id: str, plan: Plan, first: str = "", index: tuple[int, ...] = ()
    ) -> None:
        """Take what succeeded in ``run_id``; what is run anew begins with the node ``first``.

        With an ``index`` it is the node in these iterations of the loops around it. Raises
        LookupError if the plan has no such node.
        """
        definitions = Definitions(plan)
        self.run_id = run_id
        self.nodes: Collection[str] = definitions.by_id
        self._index = index
        #: how many numbers of a map index have to be those of ``index``
        self._anew: dict[str, int] = {}
        if not first:
            return
        found = definitions.by_id.get(first)
        if found is None or len(index) > found.depth + (found.kind == "loop"):
            raise LookupError(first)
        for node in (found, *found.descendants(), *definitions.dependents(found)):
            shared = sum(loop in node.inner_loops for loop in found.inner_loops[: len(index)])
            self._anew.setdefault(node.id, shared)

    def is_anew(self, node: str, map_index: tuple[int, ...]) -> bool:
        """Whether a node has to run, whatever the earlier run and the cache have of it."""
        shared = self._anew.get(node)
        return shared is not None and map_index[:shared] == self._index[:shared]


def look_up(store: Store, request: StepRequest, run_id: str) -> cache.Lookup | None:
    """The record of the same node in the run, if it succeeded with the same code and inputs.

    The request is then given the environment of that attempt. A miss if the record, or what it
    refers to, is damaged: its ``warnings`` say so. None if the step has to run for other reasons.
    """
    place = (request.pipeline, run_id, request.node, request.map_index)
    record: Record | None = records.latest_success(store, *place)
    if record is None or not _is_same(record, request):
        if record is None and (damaged := records.damaged_record(store, *place)):
            return _miss(f"the record {damaged} is damaged")
        return None
    held = [record["returns"], *record["artifacts"].values()]
    if not all(values.verify(Artifact.from_json(each), store) for each in held if each):
        return _miss(f"what the step gave in the run {run_id} is missing or damaged")
    request.environment = {**record["environment"]}
    entry: CachedResult = {
        "returns": record["returns"],
        "outputs": record["outputs"],
        "metrics": record["metrics"],
        "params": record["params"],
        "artifacts": record["artifacts"],
        "from": cache.origin_of(record),
    }
    parts = cache.parts_of(request, input_classes.names(request.inputs.values(), store))
    return cache.Lookup(cache.key_of(parts), parts, entry, [])


def _miss(text: str) -> cache.Lookup:
    return cache.Lookup("", {}, None, [], [f"{text}; the step runs again"])


def _is_same(record: Record, request: StepRequest) -> bool:
    inputs = {name: values.digest(tree) for name, tree in request.inputs.items()}
    return (
        record["step"] == request.key
        and record["code"]["digest"] == request.step.get("code")
        and {name: given["digest"] for name, given in record["inputs"].items()} == inputs
    )
