"""A run as ``levada show --json`` prints it: the object of ``levada runs --json`` and its steps.

``levada_records/schemas/show.json`` describes it.
"""

from __future__ import annotations

from levada import records
from levada.artifact import ArtifactError
from levada.store import MissingBlob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from levada.cache_types import Reason
    from levada.record_types import ArtifactJson, OutputEntry, Record

    from levada_records.runs import Run
    from levada_records.steps import Step


def run_json(run: Run, reasons: Sequence[Sequence[Reason]] | None = None) -> dict[str, Any]:
    """Return a run as JSON.

    ``reasons`` say of each step why its cache was hit or missed; by default that is what its
    record says by itself. Raises StoreError.
    """
    steps = run.steps
    listed = [None] * len(steps) if reasons is None else reasons
    outputs, problems = _outputs(run)
    return {
        **summary_json(run),
        "lost": run.is_lost,
        "steps": [step_json(*each) for each in zip(steps, listed, strict=True)],
        "outputs": outputs,
        "error": run.error,
        "problems": [*run.problems, *problems],
        "store": run.store.url,
        "folder": run.folder,
    }


def summary_json(run: Run) -> dict[str, Any]:
    """Return what ``levada runs --json`` prints of a run, read from its own documents."""
    document = run.document
    engine: dict[str, Any] = {**document["engine"]} if document is not None else {}
    git = document["git"] if document is not None else None
    used = run.outcome["resources"] if run.outcome is not None else {}
    environment = engine.get("environment")
    return {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "status": run.status,
        "started": run.started,
        "finished": run.finished,
        "seconds": run.seconds,
        "engine": engine.get("name"),
        "environment": environment if isinstance(environment, str) else None,
        "trigger": document["trigger"] if document is not None else None,
        "user": document["user"] if document is not None else None,
        "commit": git["commit"] if git is not None else None,
        "branch": git["branch"] if git is not None else None,
        "dirty": git["dirty"] if git is not None else None,
        "note": run.note,
        "plan": document["plan"] if document is not None else None,
        "source": document["source"] if document is not None else None,
        "peak_memory": used.get("peak_memory_bytes"),
        "cpu_seconds": used.get("cpu_seconds"),
        "params": {**run.params},
        "metrics": run.metrics,
        "tags": run.tags,
        "counts": counts(run.steps),
        "engine_ids": engine,
    }


def counts(steps: Sequence[Step]) -> dict[str, int]:
    """Count the steps of a run, and its attempts."""
    return {
        "steps": sum(step.status != "skipped" for step in steps),
        "cached": sum(step.is_cached for step in steps),
        "failed": sum(step.status == records.FAILED for step in steps),
        "skipped": sum(step.status == "skipped" for step in steps),
        "attempts": sum(step.attempt_count for step in steps),
    }


def step_json(step: Step, reasons: Sequence[Reason] | None = None) -> dict[str, Any]:
    """Return a step of a run as JSON; ``reasons`` as in `run_json`."""
    record = step.record
    metrics = step.metrics
    return {
        "node": step.node,
        "map_index": list(step.map_index) or None,
        "label": step.item,
        "step": record["step"] if record is not None else None,
        "status": step.status,
        "cached": step.is_cached,
        "attempts": step.attempt_count,
        "started": step.started,
        "finished": step.finished,
        "seconds": step.seconds,
        "metrics": {name: entry["value"] for name, entry in metrics.items()},
        "params": record["params"] if record is not None else {},
        "returns": artifact_json(record["returns"]) if record is not None else None,
        "outputs": _named_outputs(record["outputs"]) if record is not None else {},
        "artifacts": _artifacts(record),
        "cache": _cache(record, reasons),
        "resources": {**record["resources"]} if record is not None else {},
        "system": _system(record),
        "error": record["error"] if record is not None else None,
        "warnings": record["warnings"] if record is not None else [],
        "record": records.record_path(step.last.folder) if step.last and record else None,
        "problem": step.problem or None,
    }


def artifact_json(artifact: ArtifactJson | None) -> dict[str, Any] | None:
    """Return what people and other tools are told of an artifact."""
    if artifact is None:
        return None
    shown = {name: artifact.get(name) for name in ("digest", "type", "format", "size", "preview")}
    return {name: value for name, value in shown.items() if value is not None}


def _named_outputs(outputs: dict[str, OutputEntry]) -> dict[str, Any]:
    """Of small outputs the value is there, of others the artifact."""
    found: dict[str, Any] = {}
    for name, entry in outputs.items():
        artifact = artifact_json(entry.get("artifact"))
        found[name] = {"display": entry["display"]} if artifact is None else artifact
    return found


def _artifacts(record: Record | None) -> dict[str, Any]:
    found = record["artifacts"] if record is not None else {}
    return {name: artifact_json(artifact) for name, artifact in found.items()}


def _system(record: Record | None) -> dict[str, dict[str, float]]:
    """What was sampled of the machine while the step ran, in short."""
    found = (record.get("system") or {}) if record is not None else {}
    return {
        name: {"last": each["last"], "min": each["min"], "max": each["max"], "count": each["count"]}
        for name, each in found.items()
    }


def _cache(record: Record | None, reasons: Sequence[Reason] | None) -> dict[str, Any] | None:
    found = record["cache"] if record is not None else None
    if found is None:
        return None
    listed = found["reasons"] if reasons is None else reasons
    return {
        "hit": found["hit"],
        "from": found["from"],
        "reasons": [reason["text"] for reason in listed],
    }


def _outputs(run: Run) -> tuple[Any, list[str]]:
    """Return what the pipeline returned, or why that cannot be read."""
    try:
        return run.outputs(), []
    except (ArtifactError, MissingBlob) as error:
        return None, [f"what the pipeline returned cannot be read: {error}"]
