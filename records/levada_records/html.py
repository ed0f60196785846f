"""Runs, steps and outputs in a notebook: small tables of HTML, in which all text is escaped."""

from __future__ import annotations

import json
import re
from html import escape

from levada.artifact import ArtifactError
from levada.store import StoreError

from levada_records.documents import in_parallel
from levada_records.preview_parts import preview_parts
from levada_records.sparklines import sparkline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from levada_records.outputs import Output
    from levada_records.preview_parts import PreviewParts
    from levada_records.runs import Run
    from levada_records.steps import Step

#: Steps of a run, and characters of a value, that are shown.
_MOST_STEPS = 50
_LONGEST = 80
#: Of a preview: rows of a table, and characters of a text; bytes of data that is shown without one.
_MOST_ROWS, _LONGEST_TEXT, _LARGEST_DATA = 20, 4000, 64 * 1024
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
#: What a table of runs begins with, and what is not worth a column in it.
_FIRST = ("run_id", "pipeline", "status", "started", "seconds")
_LEFT_OUT = {
    *("finished", "engine", "environment", "trigger", "user", "commit", "branch", "dirty", "note"),
    *("plan", "source", "peak_memory", "cpu_seconds"),
}


def runs_html(columns: Mapping[str, Sequence[Any]], most: int) -> str:
    """Return a table of runs by its columns; of more than ``most`` runs the first."""
    shown = [*(name for name in _FIRST if name in columns)]
    shown += [name for name in columns if name not in (*_FIRST, *_LEFT_OUT)]
    count = len(columns["run_id"]) if "run_id" in columns else 0
    rows = [[columns[name][at] for name in shown] for at in range(min(count, most))]
    more = f"<p>the first {most}; there are more</p>" if count > most else ""
    return table(shown, rows) + more if rows else "<p>no runs</p>"


def run_html(run: Run) -> str:
    """Return what people want to see of a run first: its state, parameters and steps."""
    facts = [("status", run.status), ("started", run.started), ("seconds", run.seconds)]
    named = [(f"params.{name}", value) for name, value in run.params.items()]
    named += [(f"tags.{name}", value) for name, value in run.tags.items()]
    head = f"<p><b>{escape(run.pipeline)}</b> {escape(run.run_id)}</p>"
    steps = run.steps
    more = f"<p>and {len(steps) - _MOST_STEPS} more</p>" if len(steps) > _MOST_STEPS else ""
    problems = "".join(f"<p>{escape(problem)}</p>" for problem in run.problems)
    error = run.error
    failed = f"<p><b>{escape(error['type'])}</b>: {_text(error['message'])}</p>" if error else ""
    listed = in_parallel(run.store, _step_cells, steps[:_MOST_STEPS])
    body = table(("step", "status", "seconds", "returned", "metrics"), listed) if listed else ""
    return head + table((), [*facts, *named]) + failed + body + more + problems


def output_html(output: Output) -> str:
    """Return what an output is, and its preview if it has one."""
    words = f"{_text(output.type)}, {_text(output.format)}, {output.size:,} bytes"
    return f"<p><b>{escape(output.name)}</b>: {words}</p>{_preview(output)}"


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table; everything in it is escaped, and cut if it is long."""
    cells = "".join(f"<th>{_text(name)}</th>" for name in head)
    lines = [f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows]
    top = f"<thead><tr>{cells}</tr></thead>" if cells else ""
    return f"<table>{top}<tbody>{''.join(lines)}</tbody></table>"


def _step_cells(step: Step) -> list[str]:
    metrics = []
    for name, entry in step.metrics.items():
        value = entry["value"]
        shown = f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        series = step.series(name) if entry.get("count", 1) > 1 else None
        metrics.append(shown if series is None else f"{shown} {sparkline(series['value'])}")
    record = step.record
    returned = record["returns"] if record is not None else None
    state = "cached" if step.is_cached else step.status
    seconds = "" if step.seconds is None else f"{step.seconds:.3f}"
    kind = ""
    if returned is not None:
        kind = f"{returned['type'].rpartition(':')[2]}, {returned['format']}"
    return [step.name, state, seconds, kind, ", ".join(metrics)]


def _preview(output: Output) -> str:
    """The preview that a materializer wrote, else plain data itself if it is small."""
    preview = output.preview()
    if preview is not None:
        return _parts(preview_parts(preview))
    if output.is_data and output.size <= _LARGEST_DATA:
        try:
            text = json.dumps(output.data(), indent=2, ensure_ascii=False)
        except (ArtifactError, StoreError) as error:
            return f"<p>{escape(str(error))}</p>"
        return _lines(text)
    return ""


def _parts(parts: PreviewParts) -> str:
    shown = f"<p>{_text(parts.words)}</p>" if parts.words else ""
    if parts.rows or parts.head:
        shown += table(parts.head, parts.rows[:_MOST_ROWS])
    if parts.text:
        shown += _lines(parts.text)
    if parts.png and _BASE64.fullmatch(parts.png):
        shown += f'<img src="data:image/png;base64,{parts.png}">'
    return shown


def _lines(text: str) -> str:
    return f"<pre>{escape(text[:_LONGEST_TEXT])}{'…' * (len(text) > _LONGEST_TEXT)}</pre>"


def _text(value: object) -> str:
    text = "" if value is None else value
    if not isinstance(text, str):
        text = json.dumps(text, default=str, ensure_ascii=False)
    return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
