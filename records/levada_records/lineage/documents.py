"""A lineage as JSON, as ``levada lineage --json`` prints it (``schemas/lineage.json``)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.record_types import ArtifactJson

    from .run_links import LinkedStep, StepKey
    from .trace import Lineage


def lineage_json(lineage: Lineage) -> dict[str, Any]:
    """Return a lineage as JSON: artifacts and steps, which refer to each other by their ids."""
    steps = sorted(lineage.steps.items())
    return {
        "roots": [
            {"step": step_id(key), "artifacts": [each["digest"] for each in artifacts]}
            for key, artifacts in lineage.roots.items()
        ],
        "artifacts": [_artifact(each) for _, each in sorted(lineage.artifacts.items())],
        "steps": [_step(key, step, lineage) for key, step in steps],
        "more": lineage.more,
    }


def step_id(key: StepKey) -> str:
    """Return a step as one word, which the command line takes.

    >>> step_id(("churn", "20260101-060000-1f3a9c", "fit", (2,)))
    'churn/20260101-060000-1f3a9c/fit[2]'
    """
    pipeline, run_id, node, index = key
    item = f"[{'.'.join(map(str, index))}]" if index else ""
    return f"{pipeline}/{run_id}/{node}{item}"


def _artifact(artifact: ArtifactJson) -> dict[str, Any]:
    return {
        "digest": artifact["digest"],
        "type": artifact["type"],
        "format": artifact["format"],
        "size": artifact["size"],
    }


def _step(key: StepKey, step: LinkedStep, lineage: Lineage) -> dict[str, Any]:
    pipeline, run_id, node, index = key
    return {
        "id": step_id(key),
        "pipeline": pipeline,
        "run_id": run_id,
        "node": node,
        "map_index": list(index) if index else None,
        "label": step.label,
        "step": step.step,
        "attempt": step.attempt,
        "status": step.status,
        "cached": step.cached,
        "engine": step.engine,
        "started": step.started,
        "finished": step.finished,
        "inputs": [
            {
                "name": link.name,
                "source": link.source,
                "artifacts": link.digests,
                "steps": [step_id(maker) for maker in link.makers if maker in lineage.steps],
                "display": link.display,
            }
            for link in step.links
        ],
        "outputs": [
            {"name": name or None, "artifact": artifact["digest"]}
            for name, artifact in step.outputs.items()
        ],
        "up": [step_id(each) for each in lineage.up.get(key, ())],
        "down": [step_id(each) for each in lineage.down.get(key, ())],
        "problem": step.problem or None,
    }
