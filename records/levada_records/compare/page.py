"""A comparison as HTML, for a notebook: everything that came from a run is escaped."""

from __future__ import annotations

import json
from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .comparison import Comparison
    from .rows import CodeRow, Section

#: Rows of a section, and characters of a cell, that are shown.
MOST_ROWS, MOST_CHARACTERS = 100, 120
_COLOURS = {"+": "#1a7f37", "-": "#cf222e", "@": "#8250df"}


def html(comparison: Comparison) -> str:
    """Return the sections that differ as tables, and the code's diffs in blocks that open."""
    from .comparison import SECTIONS

    runs = comparison.runs
    heads = [f"{run['pipeline']} {run['run_id']}" for run in runs]
    parts = ["<div>"]
    parts.append(_table([["", *heads], ["status", *(run["status"] for run in runs)]]))
    for section in SECTIONS:
        if section == "code":
            parts += _code(comparison)
            continue
        rows = [row for row in comparison.all(section) if not row["same"]]
        if rows:
            parts.append(f"<h4>{section}</h4>")
            table = [["", *heads]]
            table += [[row["name"], *_cells(section, row)] for row in rows[:MOST_ROWS]]
            parts.append(_table(table))
            if len(rows) > MOST_ROWS:
                parts.append(f"<p>and {len(rows) - MOST_ROWS:,} more</p>")
    return "\n".join([*parts, "</div>"])


def _cells(section: Section, row: Any) -> list[str]:
    return [
        "" if place in row["missing"] else _text(section, value)
        for place, value in enumerate(row["values"])
    ]


def _text(section: Section, value: Any) -> str:
    if section in ("inputs", "outputs"):
        if "display" in value:
            return json.dumps(value["display"], ensure_ascii=False)
        kind = str(value["type"]).rpartition(":")[2]
        return f"{kind} {str(value['digest'])[7:14]}"
    if section == "steps":
        return "cached" if value["cached"] else f"{value['status']}, {value['seconds']} s"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [[escape(_shortened(cell)) for cell in row] for row in rows]
    lines = ["<table>", f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in body]
    return "\n".join([*lines, "</table>"])


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _code(comparison: Comparison) -> list[str]:
    rows = comparison.code
    if not rows:
        return []
    problems = [f"<p>no diff: {escape(each)}</p>" for each in comparison.code_problems]
    return ["<h4>code</h4>", *(_definition(row) for row in rows[:MOST_ROWS]), *problems]


def _definition(row: CodeRow) -> str:
    head = escape(f"{row['change']} {row['kind']} {row['function']} in {row['file']}")
    lines = [_diff_line(line) for line in (row["diff"] or "").split("\n")[2:]]
    return f"<details><summary>{head}</summary><pre>{chr(10).join(lines)}</pre></details>"


def _diff_line(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    return f'<span style="color:{colour}">{escape(line)}</span>' if colour else escape(line)
