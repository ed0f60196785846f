"""What a run did, once it is over: a table of its steps, and where to look further."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from levada_compiler.output import display_path
from levada_compiler.render.cells import escape, width

from .progress import duration, headline, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada.engine import Outcome, StepSummary

    from levada_compiler.render.colours import Palette

    from .progress import Progress

#: Steps of one node that are shown one by one; a wider fan-out is one row.
MOST_ITEMS = 12
_ROLES = {"succeeded": "good", "failed": "error", "cancelled": "warning"}


def summary(outcome: Outcome, progress: Progress, colours: Palette) -> str:
    """The end of what ``levada run`` writes to stderr."""
    lines = ["", *_table(outcome.steps, progress, colours), ""] if outcome.steps else [""]
    lines += _error(outcome.error, colours)
    if outcome.outputs:
        lines.append(_outputs(outcome))
    head = colours.paint(_ROLES[outcome.status], outcome.status)
    lines.append(f"{head} in {duration(outcome.seconds)}: {_tally(outcome)}")
    lines.append(f"record: {_record(outcome)}")
    return "\n".join(lines) + "\n"


def _table(steps: Sequence[StepSummary], progress: Progress, colours: Palette) -> list[str]:
    rows = [("step", "status", "time", "")]
    for node, group in _groups(steps):
        if len(group) > MOST_ITEMS:
            rows.append(_together(node, group))
        else:
            rows += [_row(step, progress) for step in group]
    widths = [max(width(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(_pad(row, widths)).rstrip() for row in rows]
    return [colours.paint("bold", lines[0]), *lines[1:]]


def _groups(steps: Sequence[StepSummary]) -> list[tuple[str, list[StepSummary]]]:
    groups: dict[str, list[StepSummary]] = {}
    for step in steps:
        groups.setdefault(step.node, []).append(step)
    return list(groups.items())


def _row(step: StepSummary, progress: Progress) -> tuple[str, str, str, str]:
    """The last column has the metrics, or what went wrong."""
    metrics = progress.metrics.get(step.label, {})
    shown = "  ".join(f"{name} {short(value)}" for name, value in metrics.items())
    if step.error:
        shown = headline(step.error)
    return step.label, _state(step), _time(step), escape(shown).replace("\n", " ")


def _together(node: str, group: Sequence[StepSummary]) -> tuple[str, str, str, str]:
    """One row for a wide fan-out: how many of each status, and the time of all."""
    states = Counter(map(_state, group))
    text = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{node}[…]", text, duration(sum(step.seconds for step in group)), ""


def _state(step: StepSummary) -> str:
    if step.cached:
        return "cached"
    again = f", {step.attempts} attempts" if step.attempts > 1 else ""
    return ("done" if step.status == "succeeded" else step.status) + again


def _time(step: StepSummary) -> str:
    return "" if step.cached or not step.attempts else duration(step.seconds)


def _pad(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [text + " " * (most - width(text)) for text, most in zip(row, widths, strict=True)]
    cells[2] = " " * (widths[2] - width(row[2])) + row[2]  # times stand on the right
    return cells


def _error(error: dict[str, Any] | None, colours: Palette) -> list[str]:
    """The traceback of the failure that counts, and of the one that it was handling."""
    if error is None:
        return []
    place = label_of(error)
    lines = [f"{colours.paint('error', 'failed')} {place}".rstrip() + f": {headline(error)}"]
    lines += [f"  {escape(line)}" for line in "\n".join(error.get("traceback") or ()).splitlines()]
    lines.append("")
    if error.get("context"):
        lines += ["while this one was handled:", *_error(error["context"], colours)]
    return lines


def label_of(error: dict[str, Any]) -> str:
    """The node of a run's error, as people write it."""
    from levada.engine.events import node_label

    index = error.get("map_index")
    return node_label(error.get("node") or "", tuple(index) if index else None)


def _outputs(outcome: Outcome) -> str:
    shown = outcome.displayed_outputs()
    named = zip(outcome.names, shown, strict=True) if outcome.is_tuple else [("", shown)]
    texts = [(name, json.dumps(value, ensure_ascii=False)) for name, value in named]
    return "\n".join(escape(f"output {name}".rstrip() + f": {_shortened(t)}") for name, t in texts)


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:197]}..."


def _tally(outcome: Outcome) -> str:
    count = sum(step.status != "skipped" for step in outcome.steps)
    return f"{count} step{'s' * (count != 1)}, {outcome.cached} cached"


def _record(outcome: Outcome) -> str:
    url = outcome.store.url.removeprefix("file://")
    return f"{url}/{outcome.folder}" if "://" in url else display_path(f"{url}/{outcome.folder}")
