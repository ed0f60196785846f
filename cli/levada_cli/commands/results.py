"""What a run somewhere else came to, in words and as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from levada.engine.events import node_label
from levada_compiler.render.cells import one_line
from levada_compiler.slotted import dataclass, replace

from .progress import duration, headline, short
from .summary import Row, shortened, state_of, table
from .watching import error_of_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada_compiler.client import Client, RunState, StepState
    from levada_compiler.render.colours import Palette

    from .recorded import Recorded
    from .remote import Place

    Metrics = Mapping[str, Mapping[str, Any]]  # by the label of a step

_EXITS = {"failed": 1, "cancelled": 130}
_ROLES = {"succeeded": "good", "failed": "error", "cancelled": "warning"}


@dataclass(frozen=True, slots=True)
class Result:
    """A run as it is now; ``outputs`` is what it returned, if it is over and that is known."""

    place: Place
    state: RunState
    outputs: Any
    metrics: Metrics

    @property
    def status(self) -> int:
        """The exit status of a command that tells of it."""
        return _EXITS.get(self.state.status, 0)

    @property
    def failed(self) -> StepState | None:
        """The step whose failure counts: of the last node that failed, as others were handled.

        None if the run did not fail, or by no step.
        """
        if self.state.status != "failed":
            return None
        found = [step for step in self.state.steps if step.status == "failed"]
        found = [step for step in found if step.attempt] or found
        return next((step for step in found if step.node == found[-1].node), None)

    def as_json(self) -> dict[str, Any]:
        """Like what ``levada run --json`` prints, and where the run is."""
        state = self.state
        return {
            "run": self.place.reference(state.run),
            "run_id": state.run.run_id,
            "pipeline": state.run.pipeline,
            "target": self.place.target.name,
            "environment": self.place.environment,
            "status": state.status,
            "outputs": self.outputs,
            "steps": [_step(step) for step in state.steps],
            "error": self._error(),
            "seconds": _seconds(state),
            "url": state.run.url or None,
        }

    def _error(self) -> dict[str, Any] | None:
        failed = self.failed
        if failed is not None:
            index = list(failed.map_index) if failed.map_index else None
            label = {"label": failed.label} if failed.label else {}
            return {**error_of_step(failed), "node": failed.node, "map_index": index, **label}
        if self.state.status != "failed":
            return None
        return {"message": self.state.reason, "node": None, "map_index": None}

    def text(self, colours: Palette) -> str:
        """For a terminal: the steps, what failed, the outputs, the status."""
        state = self.state
        listed = [step for step in state.steps if not step.is_control or _is_news(step)]
        shown = [_row(step, self.metrics.get(label(step), {})) for step in listed]
        lines = ["", *table(shown, colours), ""] if shown else []
        failed = self.failed
        if failed is not None:
            head = colours.paint("error", "failed")
            why = headline(error_of_step(failed))
            lines += [f"{head} {one_line(label(failed))}" + (f": {why}" if why else ""), ""]
        if self.outputs is not None:
            lines.append(
                f"output: {one_line(shortened(json.dumps(self.outputs, ensure_ascii=False)))}"
            )
        seconds = _seconds(state)
        word = colours.paint(_ROLES.get(state.status, "bold"), state.status)
        lines.append(word + (f" in {duration(seconds)}" if seconds is not None else ""))
        if state.reason:
            lines.append(f"reason: {one_line(state.reason)}")
        lines.append(f"run: {one_line(self.place.reference(state.run))}")
        lines += [one_line(state.run.url)] if state.run.url else []
        return "\n".join(lines) + "\n"


def result(place: Place, client: Client, state: RunState, recorded: Recorded) -> Result:
    """The run with what the records say of it, and what it returned."""
    outputs = None
    if state.status == "succeeded":
        known = recorded.outputs()
        outputs = client.outputs(state.run) if known is None else known[0]
    steps = tuple(
        step if step.is_control else recorded.enriched(step)
        for step in recorded.labelled(state.steps)
    )
    metrics = {label(step): recorded.metrics(step) for step in steps if not step.is_control}
    return Result(place, replace(state, steps=steps), outputs, metrics)


def _is_news(step: StepState) -> bool:
    return step.status == "failed" and bool(step.attempt)


def _row(step: StepState, metrics: Mapping[str, Any]) -> Row:
    words = [f"{name} {short(value)}" for name, value in metrics.items()]
    words += [headline(error_of_step(step))] if step.reason else []
    return Row(
        step.node,
        label(step),
        state_of(step.status, step.attempt, cached=step.cached),
        None if step.cached else step.seconds,
        "  ".join(word for word in words if word),
    )


def _step(step: StepState) -> dict[str, Any]:
    return {
        "node": step.node,
        "map_index": list(step.map_index) if step.map_index else None,
        "label": step.label or None,
        "attempts": step.attempt,
        "status": step.status,
        "cached": step.cached,
        "seconds": step.seconds,
        "control": step.is_control,
        "reason": step.reason or None,
    }


def _seconds(state: RunState) -> float | None:
    if not (state.started and state.finished):
        return None
    first, last = (datetime.fromisoformat(moment) for moment in (state.started, state.finished))
    return round((last - first).total_seconds(), 3)


def labels(steps: Sequence[StepState]) -> dict[str, list[StepState]]:
    """The steps by what people call them: by the item, ``train[depth=4]``, and by its index."""
    found: dict[str, list[StepState]] = {}
    for step in steps:
        for name in {label(step): 1, node_label(step.node, step.map_index): 1}:
            found.setdefault(name, []).append(step)
    return found


def label(step: StepState) -> str:
    """``train[depth=4]``, or ``train[2]`` where the item is not known."""
    return node_label(step.node, step.map_index, step.label)
