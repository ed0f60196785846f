"""Says why steps of a run took an earlier result, or why they could not."""

from __future__ import annotations

from levada import cache, records

from levada_records.documents import in_parallel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada.cache_types import Reason

    from levada_records.runs import Run
    from levada_records.steps import Step


def cache_reasons(run: Run, steps: Sequence[Step]) -> list[list[Reason]]:
    """Return the reasons for each of the steps; none where the cache was not asked.

    Where a record does not say it itself, its step is compared with that of earlier runs, whose
    names are listed once. Raises StoreError.
    """
    asked = [step for step in steps if step.record is not None and step.record["cache"]]
    earlier: list[str] = []
    if any(_is_unexplained(step) for step in asked):
        found = records.earlier_runs(run.store, run.pipeline, run.run_id, cache.MOST_RUNS)
        earlier = list(found)

    def explained(step: Step) -> list[Reason]:
        record = step.record
        if record is None or not record["cache"]:
            return []
        return cache.explain(record, run.store, earlier)

    return in_parallel(run.store, explained, steps)


def _is_unexplained(step: Step) -> bool:
    found = step.record["cache"] if step.record is not None else None
    return found is not None and not found["hit"] and not found["reasons"]
