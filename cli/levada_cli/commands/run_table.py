"""Runs as a table that fits the terminal, and as columns for CSV and Parquet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from levada.index_log import REMOVED
from levada_compiler.render.cells import cells, one_line, width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO

    from levada_compiler.render.colours import Palette
    from levada_records.query.places import Place

    Row = dict[str, Any]

_ROLES = {"succeeded": "good", "failed": "error", "damaged": "error", "cancelled": "warning"}
#: Parameters and metrics that a table shows unless it is asked for others.
_MOST = 8
#: The width of a cell beyond which its text is cut, where columns are chosen by Levada.
_WIDEST = 40
_NARROWEST = 6
_GAP = "  "


class Column:
    """A column of the table: its heading, what it shows of a run, and when it is left out."""

    __slots__ = ("heading", "importance", "of")

    def __init__(self, heading: str, of: Callable[[Row], Any], importance: int = 0) -> None:
        self.heading = heading
        self.of = of
        self.importance = importance  #: the largest number goes first where there is no room


def screen_width(stream: TextIO) -> int | None:
    """The columns of a terminal; None where it is none."""
    if not stream.isatty():
        return None
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


# ---------------------------------------------------------------------------- columns


def chosen(places: Sequence[tuple[str, Place]]) -> list[Column]:
    """The columns that a user named, in that order."""
    from levada_records.query import value_at

    return [
        Column(name, _FIELDS.get(place.name) or _value_of(value_at, place))
        for name, place in places
    ]


def by_default(rows: Sequence[Row], *, pipeline: str | None) -> list[Column]:
    """The columns that tell these runs apart: parameters that differ, metrics that there are."""
    found = [Column("run", _FIELDS["run_id"])]
    if pipeline is None and len({row["pipeline"] for row in rows}) > 1:
        found.append(Column("pipeline", _FIELDS["pipeline"], 5))
    found.append(Column("status", _FIELDS["status"], 1))
    found.append(Column("started", _FIELDS["started"], 2))
    found.append(Column("time", _FIELDS["seconds"], 4))
    told = [name for name in ("engine", "environment") if len({row[name] for row in rows}) > 1]
    found += [Column(name, _FIELDS[name], 6) for name in told]
    params = _differing(rows)
    metrics = _most_common([row["metrics"] for row in rows])
    for at, name in enumerate(params):
        heading = name if name not in metrics else f"params.{name}"
        found.append(Column(heading, _parameter_of(name), 10 + 2 * at))
    for at, name in enumerate(metrics):
        found.append(Column(name, _metric_of(name), 3 if at == 0 else 9 + 2 * at))
    return found


def _differing(rows: Sequence[Row]) -> list[str]:
    """The parameters that do not have one value in all runs that have them."""
    names = _most_common([row["params"] for row in rows], bounded=False)
    found = []
    for name in names:
        values = [row["params"][name] for row in rows if name in row["params"]]
        if any(value != values[0] or type(value) is not type(values[0]) for value in values):
            found.append(name)
    return found[:_MOST]


def _most_common(dicts: Sequence[dict[str, Any]], *, bounded: bool = True) -> list[str]:
    """The keys that most dicts have, sorted by name; not more than a table has room for."""
    counts: dict[str, int] = {}
    for each in dicts:
        for key in each:
            counts[key] = counts.get(key, 0) + 1
    names = sorted(counts, key=lambda key: (-counts[key], key))
    return sorted(names[:_MOST] if bounded else names)


# ---------------------------------------------------------------------------- cells


def _value_of(value_at: Callable[[Row, Place], Any], place: Place) -> Callable[[Row], Any]:
    return lambda row: value_at(row, place)


def _parameter_of(name: str) -> Callable[[Row], Any]:
    return lambda row: row["params"].get(name)


def _metric_of(name: str) -> Callable[[Row], Any]:
    def value(row: Row) -> Any:
        found = row["metrics"].get(name)
        return found.get("last") if isinstance(found, dict) else found

    return value


def _time(row: Row) -> str:
    """How long a run took, or for how long one has been running."""
    from .progress import duration

    if row["seconds"] is not None:
        return duration(max(0.0, float(row["seconds"])))
    started = _moment(row["started"])
    if row["status"] != "running" or started is None:
        return ""
    from time import time

    return f"{duration(max(0.0, time() - started))} so far"


def _local(text: str | None) -> str:
    """A time of a record in the time zone of this machine, to the minute."""
    from time import localtime, strftime

    moment = _moment(text)
    if moment is None:
        return text or ""
    return strftime("%Y-%m-%d %H:%M", localtime(moment))


def _moment(text: str | None) -> float | None:
    """The seconds since 1970 of a time in a record; None if it is none."""
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text or "")
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


_FIELDS: dict[str, Callable[[Row], Any]] = {
    "run_id": lambda row: row["run_id"],
    "pipeline": lambda row: row["pipeline"],
    "status": lambda row: f"{row['status']}, removed" if REMOVED in row["tags"] else row["status"],
    "started": lambda row: _local(row["started"]),
    "finished": lambda row: _local(row["finished"]),
    "seconds": _time,
    "engine": lambda row: row["engine"],
    "environment": lambda row: row["environment"],
    "dirty": lambda row: None if row["dirty"] is None else bool(row["dirty"]),
}


def shown(value: Any) -> str:
    """A value as a cell has it."""
    from .progress import short

    if value is None:
        return ""
    if isinstance(value, (bool, list, dict)):
        import json

        return one_line(json.dumps(value, ensure_ascii=False))
    return one_line(short(value))


# ---------------------------------------------------------------------------- the table


class Table:
    """A table of runs: its lines, and the columns that there was no room for."""

    def __init__(self, lines: list[str], left_out: list[str]) -> None:
        self.lines = lines
        self.left_out = left_out


def table(
    rows: Sequence[Row],
    columns: Sequence[Column],
    colours: Palette,
    *,
    columns_of_screen: int | None,
    keeps_all: bool = False,
) -> Table:
    """The table of these runs. With ``keeps_all`` no column is left out, but cells are cut."""
    texts = [[shown(column.of(row)) for column in columns] for row in rows]
    numeric = [_is_numeric(rows, column) for column in columns]
    widths = [
        max([width(one_line(column.heading)), *(width(line[at]) for line in texts)])
        for at, column in enumerate(columns)
    ]
    if columns_of_screen is not None and not keeps_all:
        widths = [min(each, _WIDEST) for each in widths]
    kept = list(range(len(columns)))
    if columns_of_screen is not None:
        if not keeps_all:
            kept = _kept(columns, widths, columns_of_screen)
        _narrow(widths, kept, columns_of_screen)

    def line(cells_: Sequence[str]) -> list[str]:
        return [_fitted(cells_[at], widths[at], right=numeric[at]) for at in kept]

    head = _GAP.join(line([one_line(column.heading) for column in columns])).rstrip()
    lines = [colours.paint("bold", head)]
    status = next((i for i, at in enumerate(kept) if columns[at].of is _FIELDS["status"]), None)
    for row, text in zip(rows, texts, strict=True):
        parts = line(text)
        if status is not None and status < len(parts) - 1:
            parts[status] = colours.paint(_ROLES.get(row["status"], "bold"), parts[status])
        lines.append(_GAP.join(parts).rstrip())
    return Table(lines, [column.heading for at, column in enumerate(columns) if at not in kept])


def _is_numeric(rows: Sequence[Row], column: Column) -> bool:
    """Whether a column stands on the right: numbers, and how long runs took."""
    if column.of is _time:
        return True
    values = [value for row in rows if (value := column.of(row)) is not None]
    names = ("NaN", "Infinity", "-Infinity")
    return bool(values) and all(
        (isinstance(value, (int, float)) and not isinstance(value, bool)) or value in names
        for value in values
        if not isinstance(value, (list, dict))
    )


def _kept(columns: Sequence[Column], widths: Sequence[int], most: int) -> list[int]:
    """The columns that there is room for; the least important go first."""
    kept = list(range(len(columns)))
    for at in sorted(kept, key=lambda at: -columns[at].importance):
        if _total(widths, kept) <= most or columns[at].importance <= 1:
            break
        kept.remove(at)
    return kept


def _narrow(widths: list[int], kept: Sequence[int], most: int) -> None:
    """Make the widest columns narrower until all fit, or none can give way."""
    while _total(widths, kept) > most:
        widest = max(kept, key=lambda at: widths[at])
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[at] for at in kept) + len(_GAP) * (len(kept) - 1)


def _fitted(text: str, columns: int, *, right: bool) -> str:
    """A text in a cell of this width; ``…`` where it is cut."""
    if width(text) > columns:
        kept, used = [], 1
        for cell in cells(text):
            if used + cell.width > columns:
                break
            kept.append(cell.text)
            used += cell.width
        text = "".join(kept) + "…"
    gap = " " * (columns - width(text))
    return gap + text if right else text + gap


# ---------------------------------------------------------------------------- columns of files


def flat(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The runs as columns by name, in order: fields, then each parameter, metric and tag."""
    plain = (
        *("run_id", "pipeline", "status", "started", "finished", "seconds", "engine"),
        *("environment", "trigger", "user", "note", "commit", "branch", "dirty"),
        *("peak_memory", "cpu_seconds"),
    )
    found = {name: [row[name] for row in rows] for name in plain}
    found["dirty"] = [None if value is None else bool(value) for value in found["dirty"]]
    found["error"] = [_error(row["error"]) for row in rows]
    for name in sorted({name for row in rows for name in row["params"]}):
        found[f"params.{name}"] = [row["params"].get(name) for row in rows]
    for name in sorted({name for row in rows for name in row["metrics"]}):
        found[f"metrics.{name}"] = list(map(_metric_of(name), rows))
    for name in sorted({name for row in rows for name in row["tags"]}):
        found[f"tags.{name}"] = [row["tags"].get(name) for row in rows]
    return found


def _error(error: Any) -> str | None:
    if not isinstance(error, dict):
        return None
    return f"{error.get('type', '')}: {error.get('message', '')}"
