"""What an earlier run of the same pipeline gave: for one that tries again what failed in it."""

from __future__ import annotations

from levada import cache, input_classes, records, values
from levada.artifact import Artifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.cache_types import CachedResult
    from levada.record_types import Record
    from levada.request import StepRequest
    from levada.store import Store


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
