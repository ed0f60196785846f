"""Writes the outcome of a run from its tasks: on Airflow and Kubeflow no code runs after them.

A run has succeeded once its last task has collected what the pipeline returns. It has failed with
the first failure that nothing in the pipeline handles and after which there is no other attempt.
"""

from __future__ import annotations

from datetime import datetime
from time import time

from levada import index_log, records
from levada.redaction import redact_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from levada.record_types import OfItem, OutcomeDocument, Record, RunDocument, RunError
    from levada.store import Store
    from levada.trees.tree_types import Tree


def write_success(
    store: Store, run: RunDocument, trees: Mapping[str, Tree], kind: str, secrets: Collection[str]
) -> None:
    """Write the outcome of a run that has returned ``trees``, by name, as ``kind``."""
    outcome = records.outcome(
        run["pipeline"],
        run["run_id"],
        seconds=_seconds(run),
        outputs=[*trees.values()],
        names=[*trees],
        kind=kind,
    )
    _write(store, redact_json(outcome, secrets))


def write_failure(store: Store, run: RunDocument, record: Record) -> None:
    """Write the outcome of a run that the attempt of ``record`` ends, which failed.

    Nothing is written where an earlier failure has ended the run and has not been cured since.
    """
    if _has_failed(store, run) or record["error"] is None:
        return
    place = (record["node"], record["map_index"], record["attempt"])
    folder = records.attempt_path(run["pipeline"], run["run_id"], *place)
    label: OfItem = {"label": record["label"]} if "label" in record else {}
    error: RunError = {
        **record["error"],
        "node": record["node"],
        "map_index": record["map_index"],
        **label,
        "record": records.record_path(folder),
        "context": None,
    }
    outcome = records.outcome(
        run["pipeline"],
        run["run_id"],
        status=record["status"],
        seconds=_seconds(run),
        error=error,
    )
    _write(store, outcome)


def _write(store: Store, outcome: OutcomeDocument) -> None:
    """Write an outcome, and add it to the index of runs."""
    records.write_outcome(store, outcome)
    index_log.write_ended(store, outcome)


def _has_failed(store: Store, run: RunDocument) -> bool:
    """Whether the run's outcome is a failure of what is still the last attempt of its node."""
    outcome = records.read_outcome(store, run["pipeline"], run["run_id"])
    error = outcome["error"] if outcome is not None else None
    if error is None or error["node"] is None:
        return False
    place = (run["pipeline"], run["run_id"], error["node"], error["map_index"])
    numbers = records.attempts(store, *place)
    return bool(numbers) and error.get("record") == records.record_path(
        records.attempt_path(*place, numbers[-1])
    )


def _seconds(run: RunDocument) -> float:
    try:
        started = datetime.fromisoformat(run["created"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0
    return max(time() - started, 0.0)
