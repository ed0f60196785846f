"""What a run did, once it is over: a table of its steps, and where to look further."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from levada_compiler.output_files import display_path
from levada_compiler.render.cells import escape, one_line, width
from levada_compiler.slotted import dataclass

from .progress import duration, headline, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levada.engine import Outcome, StepSummary
    from levada.record_types import RunError
    from levada.store import Store
    from levada_compiler.render.colours import Palette

    from .progress import Progress

#: Steps of one node that are shown one by one; a wider fan-out is one row.
MOST_ITEMS = 12
_ROLES = {"succeeded": "good", "failed": "error", "cancelled": "warning"}


@dataclass(frozen=True, slots=True)
class Row:
    """A step in the table: what it is called, how it ended, after how long, what to say of it."""

    node: str
    label: str
    state: str
    seconds: float | None
    text: str = ""

    def cells(self) -> tuple[str, str, str, str]:
        """As the table has it."""
        time = "" if self.seconds is None else duration(self.seconds)
        return one_line(self.label), one_line(self.state), time, one_line(self.text)


def summary(outcome: Outcome, progress: Progress, colours: Palette) -> str:
    """The end of what ``levada run`` writes to stderr."""
    rows = [_row(step, progress) for step in outcome.steps]
    lines = ["", *table(rows, colours), ""] if rows else [""]
    lines += _error(outcome.error, colours)
    if outcome.outputs:
        lines.append(_outputs(outcome))
    head = colours.paint(_ROLES[outcome.status], outcome.status)
    lines.append(f"{head} in {duration(outcome.seconds)}: {_tally(outcome)}")
    lines.append(f"record: {one_line(place_in_store(outcome.store, outcome.folder))}")
    return "\n".join(lines) + "\n"


def table(steps: Sequence[Row], colours: Palette) -> list[str]:
    """A line for each step; a wide fan-out is one line."""
    rows = [("step", "status", "time", "")]
    for node, group in _groups(steps):
        if len(group) > MOST_ITEMS:
            rows.append(_together(node, group))
        else:
            rows += [step.cells() for step in group]
    widths = [max(width(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(_pad(row, widths)).rstrip() for row in rows]
    return [colours.paint("bold", lines[0]), *lines[1:]]


def _groups(steps: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for step in steps:
        groups.setdefault(step.node, []).append(step)
    return list(groups.items())


def _together(node: str, group: Sequence[Row]) -> tuple[str, str, str, str]:
    """One row for a wide fan-out: how many of each status, and the time of all."""
    states = Counter(step.state for step in group)
    text = ", ".join(f"{count} {state}" for state, count in states.items())
    return (
        f"{one_line(node)}[…]",
        one_line(text),
        duration(sum(step.seconds or 0 for step in group)),
        "",
    )


def _row(step: StepSummary, progress: Progress) -> Row:
    """What is said of a step is its metrics, or what went wrong."""
    metrics = progress.metrics.get(step.label, {})
    shown = "  ".join(f"{name} {short(value)}" for name, value in metrics.items())
    if step.error:
        shown = headline(step.error)
    seconds = None if step.cached or not step.attempts else step.seconds
    state = state_of(step.status, step.attempts, cached=step.cached)
    return Row(step.node, step.label, state, seconds, shown)


def state_of(status: str, attempts: int, *, cached: bool) -> str:
    """How a step ended, in a few words."""
    if cached:
        return "cached"
    again = f", {attempts} attempts" if attempts > 1 else ""
    return ("done" if status == "succeeded" else status) + again


def _pad(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [text + " " * (most - width(text)) for text, most in zip(row, widths, strict=True)]
    cells[2] = " " * (widths[2] - width(row[2])) + row[2]  # times stand on the right
    return cells


def _error(error: RunError | None, colours: Palette) -> list[str]:
    """The traceback of the failure that counts, and of the one that it was handling."""
    if error is None:
        return []
    place = one_line(label_of(error))
    lines = [f"{colours.paint('error', 'failed')} {place}".rstrip() + f": {headline(error)}"]
    lines += [f"  {escape(line)}" for line in "\n".join(error.get("traceback") or ()).splitlines()]
    lines.append("")
    if error.get("context"):
        lines += ["while this one was handled:", *_error(error["context"], colours)]
    return lines


def label_of(error: Mapping[str, Any]) -> str:
    """The node of a run's error, as people write it."""
    from levada.engine.events import node_label

    return node_label(error.get("node") or "", error.get("map_index"), error.get("label") or "")


def _outputs(outcome: Outcome) -> str:
    shown: Any = outcome.displayed_outputs()  # a list, or an object, but for one value
    values = shown.values() if isinstance(shown, dict) else shown
    is_one = outcome.kind in ("none", "value")
    named = [("", shown)] if is_one else zip(outcome.names, values, strict=True)
    texts = [(name, json.dumps(value, ensure_ascii=False)) for name, value in named]
    return "\n".join(escape(f"output {name}".rstrip() + f": {shortened(t)}") for name, t in texts)


def shortened(text: str) -> str:
    """As much of a value as a line has room for."""
    return text if len(text) <= 200 else f"{text[:197]}..."


def _tally(outcome: Outcome) -> str:
    count = sum(step.status != "skipped" for step in outcome.steps)
    return f"{count} step{'s' * (count != 1)}, {outcome.cached} cached"


def place_in_store(store: Store, path: str) -> str:
    """A path in a store as people find it: below the current folder, or by the store's URL."""
    from levada.store import unquote_name

    scheme, _, place = store.url.partition("://")
    return (
        display_path(f"{unquote_name(place)}/{path}") if scheme == "file" else f"{store.url}/{path}"
    )
