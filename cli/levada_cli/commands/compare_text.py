"""A comparison of runs for a terminal: a table for each section, what differs first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from levada_compiler.render.cells import escape, one_line, width
from levada_records.sparklines import BLOCKS, sparkline

from .progress import duration, short
from .shown_values import cut, local_time, short_digest, size, type_name
from .summary import MOST_ITEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from levada_records.compare import Comparison
    from levada_records.compare.rows import (
        CodeRow,
        MetricRow,
        PackageRow,
        Row,
        Section,
        StepRow,
    )

    from .shown_run import Screen

#: Columns that a value and a name are left with at least, and between two columns.
_LEAST, _LEAST_NAME, _GAP = 7, 12, 2
#: Metrics whose series are read and drawn at most, and the columns of each drawing.
MOST_SERIES, _DRAWN = 20, 8
_TITLES: dict[Section, str] = {
    "params": "parameters",
    "metrics": "metrics",
    "code": "code",
    "packages": "packages",
    "inputs": "inputs",
    "outputs": "outputs",
    "steps": "steps",
    "environment": "environment",
}


class Marked(str):
    """A cell of a table that is painted as good."""

    __slots__ = ()


class ComparisonText:
    """Writes one comparison."""

    def __init__(
        self,
        comparison: Comparison,
        screen: Screen,
        sections: Sequence[Section],
        *,
        everything: bool = False,
    ) -> None:
        self._comparison = comparison
        self._columns = screen.columns
        self._marks = screen.marks
        self._paint = screen.colours.paint
        self._sections = sections
        self._everything = everything
        self._names = [_letter(place) for place in range(len(comparison.runs))]

    def text(self) -> str:
        """Return the whole text."""
        lines = self._heads()
        equal: list[str] = []
        for section in self._sections:
            found = self._section(section)
            if found:
                lines += ["", *found]
            else:
                equal.append(self._equal(section))
        if equal:
            lines += ["", *self._wrapped(f"the same: {', '.join(equal)}")]
        return "\n".join(lines) + "\n"

    # ---------------------------------------------------------------- the runs

    def _heads(self) -> list[str]:
        runs = self._comparison.runs
        of_one = len({run["pipeline"] for run in runs}) == 1
        rows = [
            ["", "run", "status", *([] if of_one else ["pipeline"]), "time", "started", "engine"]
        ]
        for name, run in zip(self._names, runs, strict=True):
            row = [name, run["run_id"], run["status"], *([] if of_one else [run["pipeline"]])]
            row += ["" if run["seconds"] is None else duration(run["seconds"])]
            row += [local_time(run["started"]), run["engine"] or ""]
            rows.append([one_line(text) for text in row])
        while len(rows[0]) > 3 and _natural(rows) > self._columns:
            rows = [row[:-1] for row in rows]
        lines = [one_line(runs[0]["pipeline"])] if of_one else []
        lines += self._fitted(rows, _LEAST_NAME, margin="")
        for name, run in zip(self._names, runs, strict=True):
            lines += [self._warning(f"{name}: {problem}") for problem in run["problems"]]
        return lines

    def _warning(self, text: str) -> str:
        return f"{self._paint('warning', 'warning')}: {one_line(text)}"

    def _title(self, section: Section, count: str) -> str:
        return self._paint("bold", _TITLES[section]) + f": {count}"

    def _equal(self, section: Section) -> str:
        """What a section without differences is called in the last line."""
        if section == "code":
            return "code (as far as it is known)" if self._comparison.code_problems else "code"
        count = len(self._comparison.all(section))
        return f"{_TITLES[section]} ({count})" if count else f"{_TITLES[section]} (none)"

    # ---------------------------------------------------------------- sections

    def _section(self, section: Section) -> list[str]:
        """Return a section with its title; nothing if there is nothing to show of it."""
        if section == "code":
            return self._code()
        rows = self._comparison.all(section)
        differing = [row for row in rows if not row["same"]]
        shown = rows if self._everything else differing
        if not shown:
            return []
        writers: dict[str, Callable[[Any], list[str]]] = {
            "params": lambda rows: self._values(rows, _json),
            "metrics": self._metrics,
            "packages": self._packages,
            "inputs": self._values,
            "outputs": self._values,
            "steps": self._steps,
            "environment": self._plain,
        }
        title = self._title(section, f"{len(differing)} of {len(rows)} differ")
        return [title, *writers[section](shown)]

    def _plain(self, rows: Sequence[Row]) -> list[str]:
        """Return a table of names and values."""
        table = [["", *self._names]]
        table += [[one_line(row["name"]), *self._cells(row, _json)] for row in rows]
        return self._table(table)

    def _cells(self, row: Row, show: Callable[[Any], str]) -> list[str]:
        return [
            "-" if place in row["missing"] else one_line(show(value))
            for place, value in enumerate(row["values"])
        ]

    def _metrics(self, rows: Sequence[MetricRow]) -> list[str]:
        is_pair = len(self._names) == 2
        table = [["", *self._names, *(["change", ""] if is_pair else [])]]
        drawn = 0
        for group in self._groups(rows, lambda row: row["metric"]):
            if len(group) > MOST_ITEMS and not self._everything:
                table.append([*self._range(group), *(["", ""] if is_pair else [])])
                continue
            for row in group:
                has_series = drawn < MOST_SERIES and max(row["counts"]) > 1
                drawn += has_series
                drawings = self._drawings(row) if has_series else ["" for _ in self._names]
                table.append([one_line(row["name"]), *self._metric(row, drawings)])
        return self._table(table)

    def _metric(self, row: MetricRow, drawings: Sequence[str]) -> list[str]:
        found = []
        for place, value in enumerate(row["values"]):
            text = "-" if value is None else one_line(short(value))
            mark = self._mark(row, place)
            percent = row["percents"][place]
            if len(self._names) > 2 and place and percent:
                text += f" ({percent:+.3g}%)"
            text = " ".join(part for part in (text, mark, drawings[place]) if part)
            found.append(Marked(text) if row["best"] == place else text)
        if len(self._names) == 2:
            change, percent = row["changes"][1], row["percents"][1]
            found.append("" if change is None else f"{change:+.4g}")
            found.append("" if percent is None else f"{percent:+.3g}%")
        return found

    def _mark(self, row: MetricRow, place: int) -> str:
        if row["best"] is not None:
            return "*" if row["best"] == place else ""
        if len(self._names) == 2:
            return ""
        up, down = ("▲", "▼") if self._marks is BLOCKS else ("^", "v")
        return up if row["largest"] == place else (down if row["smallest"] == place else "")

    def _drawings(self, row: MetricRow) -> list[str]:
        """Draw the series of a metric, all by one scale, so that they can be compared."""
        series = self._comparison.series(row)
        known = [
            value for each in series for value in each or () if isinstance(value, (int, float))
        ]
        bounds = (min(known), max(known)) if known else None
        return [sparkline(each, _DRAWN, self._marks, bounds) if each else "" for each in series]

    def _range(self, group: Sequence[MetricRow]) -> list[str]:
        """Return one row for the items of a large loop: the least and the greatest value."""
        found = [f"{self._folded(group)}.{one_line(group[0]['metric'])}"]
        for place in range(len(self._names)):
            numbers = [row["values"][place] for row in group]
            known = [value for value in numbers if isinstance(value, (int, float))]
            span = f"{short(min(known))}{'…'}{short(max(known))}" if known else "-"
            found.append(span)
        return found

    def _packages(self, rows: Sequence[PackageRow]) -> list[str]:
        used = [row for row in rows if row["used"]]
        others = [row for row in rows if not row["used"]]
        shown = rows if self._everything or len(others) <= MOST_ITEMS else used
        table = [["", *self._names]]
        for row in shown:
            name = one_line(row["name"]) + (f" ({one_line(row['step'])})" if row["step"] else "")
            table.append([name, *self._cells(row, lambda value: value or "not installed")])
        lines = self._table(table) if shown else []
        if len(shown) < len(rows):
            lines.append(f"  and {len(others)} that no step imports; --all shows them")
        return lines

    def _values(self, rows: Sequence[Row], show: Callable[[Any], str] | None = None) -> list[str]:
        """Return a table of names and values, the items of a large loop in one row."""
        table = [["", *self._names]]
        for group in self._groups(rows, lambda row: row["name"].rpartition("]")[2]):
            if len(group) > MOST_ITEMS and not self._everything:
                end = group[0]["name"].rpartition("]")[2]
                table.append([f"{self._folded(group)}{one_line(end)}", *self._count(group)])
            else:
                table += [
                    [one_line(row["name"]), *self._cells(row, show or _value)] for row in group
                ]
        return self._table(table)

    def _steps(self, rows: Sequence[StepRow]) -> list[str]:
        table = [["", *self._names]]
        for group in self._groups(rows, lambda _: ""):
            if len(group) > MOST_ITEMS and not self._everything:
                table.append([self._folded(group), *self._count(group)])
            else:
                table += [[one_line(row["name"]), *self._cells(row, _step)] for row in group]
        return self._table(table)

    def _groups(self, rows: Sequence[Any], key: Callable[[Any], str]) -> Iterable[list[Any]]:
        """Put together what the items of a loop have under one name."""
        groups: dict[tuple[str, str], list[Any]] = {}
        for row in rows:
            label = row.get("step") or row["name"]
            node, bracket, _ = label.partition("[")
            groups.setdefault((node, key(row)) if bracket else (label, row["name"]), []).append(row)
        return groups.values()

    def _folded(self, group: Sequence[Any]) -> str:
        label = group[0].get("step") or group[0]["name"]
        return f"{one_line(label.partition('[')[0])}[{'…'}]"

    def _count(self, group: Sequence[Row]) -> list[str]:
        """Return how many items of a loop differ, or how many of these each run has."""
        counts = [
            sum(place not in row["missing"] for row in group) for place in range(len(self._names))
        ]
        if len(set(counts)) == 1:
            return [f"{counts[0]} items differ", *("" for _ in counts[1:])]
        return [f"{count} items" for count in counts]

    # ---------------------------------------------------------------- code

    def _code(self) -> list[str]:
        rows = self._comparison.code
        problems = [self._warning(f"no diff: {each}") for each in self._comparison.code_problems]
        if not rows:
            return []
        count = f"{len(rows)} definition{'s' * (len(rows) != 1)} differ{'s' * (len(rows) == 1)}"
        lines = [self._title("code", count)]
        for row in rows:
            lines += ["", *self._definition(row)]
        return [*lines, *(["", *problems] if problems else [])]

    def _definition(self, row: CodeRow) -> list[str]:
        kind = "" if row["kind"] in ("statement", "import") else f"{row['kind']} "
        head = f"{row['change']} {kind}{one_line(row['function'])}"
        place = f" in {one_line(row['file'])}" if row["file"] else ""
        where = "" if len(self._names) == 2 else f" in {', '.join(map(_letter, row['runs']))}"
        steps = ", ".join(sorted({step.rpartition(":")[2] for step in row["steps"]}))
        used = f" (used by {one_line(steps)})" if steps and row["kind"] != "step" else ""
        lines = [*self._wrapped(f"{head}{place}{where}{used}")]
        lines[0] = self._paint("bold", lines[0])
        if row["diff"] is None:
            return lines
        return lines + [self._diff_line(line) for line in row["diff"].split("\n")[2:]]

    def _diff_line(self, line: str) -> str:
        roles = {"+": "added", "-": "removed", "@": "frame"}
        role = roles.get(line[:1])
        shown = escape(line.replace("\t", "    "))
        return "  " + (self._paint(role, shown) if role else shown)

    # ---------------------------------------------------------------- tables

    def _wrapped(self, text: str) -> list[str]:
        from textwrap import wrap

        return wrap(text, max(self._columns, 20), subsequent_indent="  ") or [""]

    def _table(self, rows: list[list[str]]) -> list[str]:
        """Write rows, of which the first one names the columns, in the columns of the terminal.

        Runs that have no room beside the others follow below, the first run again beside them.
        """
        most = max((self._columns - 2 - _LEAST_NAME) // (_LEAST + _GAP), 2)
        runs, extra = len(self._names), len(rows[0]) - 1 - len(self._names)
        if runs + extra <= most or runs <= 2:
            return self._fitted(rows, _LEAST)
        lines: list[str] = []
        for start in range(1, runs, most - 1):
            places = [0, 1, *range(start + 1, min(start + most - 1, runs) + 1)]
            lines += self._fitted([[row[place] for place in places] for row in rows], _LEAST)
        return lines

    def _fitted(self, rows: list[list[str]], least: int, margin: str = "  ") -> list[str]:
        widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
        room = self._columns - len(margin) - _GAP * (len(widths) - 1)
        floor = [_LEAST_NAME, *(least for _ in widths[1:])]
        while sum(widths) > room:
            spare = [have - need for have, need in zip(widths, floor, strict=True)]
            if max(spare) <= 0:
                break
            widths[max(range(len(widths)), key=lambda column: (spare[column], widths[column]))] -= 1
        lines = []
        for number, row in enumerate(rows):
            padded = [self._padded(text, most) for text, most in zip(row, widths, strict=True)]
            line = margin + (" " * _GAP).join(padded).rstrip()
            lines.append(self._paint("bold", line) if number == 0 else line)
        return lines

    def _padded(self, text: str, most: int) -> str:
        shown = cut(text, most)
        painted = self._paint("good", shown) if isinstance(text, Marked) else shown
        return painted + " " * (most - width(shown))


def _natural(rows: Sequence[Sequence[str]]) -> int:
    """The columns that a table takes if nothing of it is cut."""
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return sum(widths) + _GAP * (len(widths) - 1)


def _letter(place: int) -> str:
    """``A`` for the first run."""
    return chr(ord("A") + place) if place < 26 else f"R{place + 1}"


def _json(value: Any) -> str:
    if isinstance(value, str):
        if value.startswith("sha256:"):
            return short_digest(value)
        return value if value.isprintable() and value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _value(cell: Any) -> str:
    """A value: as it is if it is small, else its type, its size and its digest."""
    if "display" in cell:
        return json.dumps(cell["display"], ensure_ascii=False)
    bytes_ = "" if cell["size"] is None else f" {size(cell['size'])}"
    return f"{type_name(str(cell['type']))}{bytes_} {short_digest(str(cell['digest']))}".rstrip()


def _step(cell: Any) -> str:
    word = "cached" if cell["cached"] else cell["status"]
    again = f", {cell['attempts']} attempts" if cell["attempts"] > 1 else ""
    time = "" if cell["seconds"] is None or cell["cached"] else f" {duration(cell['seconds'])}"
    memory = "" if not cell["peak_memory"] else f" {size(cell['peak_memory'])}"
    return f"{word}{again}{time}{memory}"
