"""Parameters, metrics, packages, environment and steps of runs, side by side."""

from __future__ import annotations

import math

from .rows import aligned, all_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Literal

    from levada.record_types import MetricEntry, Record, ResourcesUsed

    from levada_records.runs import Run
    from levada_records.steps import Step

    from .rows import (
        MetricRow,
        PackageRow,
        ParameterRow,
        Row,
        StepCell,
        StepRow,
    )
    from .steps import AlignedStep

#: Seconds and bytes by which steps may differ and are the same still: no two runs take equal time.
SAME_SECONDS, SAME_BYTES, SAME_SHARE = 1.0, 10_000_000, 0.2
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def parameters(runs: Sequence[Run], steps: Sequence[AlignedStep]) -> list[ParameterRow]:
    """Return the parameters of the pipelines, then what steps of two runs or more logged."""
    tables: list[dict[str, Any]] = [_given(run) for run in runs]
    for each in steps:
        if not each.is_shared:
            continue
        for table, step in zip(tables, each.steps, strict=True):
            record = step.record if step is not None else None
            for name, value in (record["params"] if record is not None else {}).items():
                table[f"{each.label}.{name}"] = value
    return aligned(tables)


def _given(run: Run) -> dict[str, Any]:
    document = run.document
    return dict(document["parameters"]["display"]) if document is not None else {}


# ---------------------------------------------------------------- metrics


def metrics(
    steps: Sequence[AlignedStep], maximize: Sequence[str], minimize: Sequence[str]
) -> list[MetricRow]:
    """Return the metrics of all steps; which run is best where it is said what better means."""
    rows: list[MetricRow] = []
    for each in steps:
        entries = [step.metrics if step is not None else {} for step in each.steps]
        last = [_last(found) for found in entries]
        for row in aligned(last):
            counts = [
                found[row["name"]].get("count", 1) if row["name"] in found else 0
                for found in entries
            ]
            rows.append(_metric(row, each.label, counts, maximize, minimize))
    return rows


def _last(entries: Mapping[str, MetricEntry]) -> dict[str, Any]:
    return {name: _plain(entry["value"]) for name, entry in entries.items()}


def _count(entry: MetricEntry | None) -> int:
    """Return how many values of a metric were logged."""
    return entry.get("count", 1) if entry is not None else 0


def _metric(
    row: Row, label: str, counts: list[int], maximize: Sequence[str], minimize: Sequence[str]
) -> MetricRow:
    metric = row["name"]
    numbers = [_number(value) for value in row["values"]]
    first = numbers[0]
    changes = [_change(number, first) for number in numbers]
    largest, smallest = _extreme(numbers, max), _extreme(numbers, min)
    best = None
    if is_named(metric, label, maximize):
        best = largest
    elif is_named(metric, label, minimize):
        best = smallest
    return {
        **row,
        "name": f"{label}.{metric}",
        "step": label,
        "metric": metric,
        "changes": changes,
        "percents": [_percent(change, first) for change in changes],
        "largest": largest,
        "smallest": smallest,
        "best": best,
        "counts": counts,
    }


def is_named(metric: str, label: str, names: Sequence[str]) -> bool:
    """Whether a metric is among some names: as ``auc``, ``train.auc`` or ``fit[0].auc``."""
    node = label.partition("[")[0]
    return any(name in (metric, f"{label}.{metric}", f"{node}.{metric}") for name in names)


def _plain(value: float | str) -> float | str:
    """Return a value as JSON can have it."""
    if isinstance(value, (str, int)) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return _NUMBERS.get(value)
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:  # a whole number that no float can hold
        return None


def _change(number: float | None, first: float | None) -> float | None:
    return _finite(number - first) if number is not None and first is not None else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _percent(change: float | None, first: float | None) -> float | None:
    if change is None or not first or not math.isfinite(first):
        return None
    return _finite(round(change / abs(first) * 100, 4))


def _extreme(numbers: Sequence[float | None], choose: Any) -> int | None:
    """Return the place of the one value that is largest or smallest."""
    known = [number for number in numbers if number is not None and not math.isnan(number)]
    if len(known) < 2 or known.count(found := choose(known)) > 1:
        return None
    return numbers.index(found)


# ---------------------------------------------------------------- packages, environment


def packages(runs: Sequence[Run]) -> list[PackageRow]:
    """Return the distributions of the runs: what their steps import, then what is installed too."""
    used = [_of_steps(run) for run in runs]
    rows: list[PackageRow] = []
    names = sorted({name for table in used for name in table})
    for name in names:
        versions = [table.get(name, {}) for table in used]
        if all(len(set(found.values())) < 2 for found in versions):
            plain = [{name: next(iter(found.values()))} if found else {} for found in versions]
            rows += [_package(row, None, used=True) for row in aligned(plain)]
            continue
        for step in sorted({step for found in versions for step in found}):
            of_step = [{name: found[step]} if step in found else {} for found in versions]
            rows += [_package(row, step, used=True) for row in aligned(of_step)]
    known = set(names)
    installed = [
        {name: version for name, version in _installed(run).items() if name not in known}
        for run in runs
    ]
    if all(_installed(run) for run in runs):
        rows += [_package(row, None, used=False) for row in aligned(installed)]
    return sorted(rows, key=lambda row: (not row["used"], row["name"], row["step"] or ""))


def _of_steps(run: Run) -> dict[str, dict[str, Any]]:
    """Return the versions that the steps of a run had, by the names of packages and of steps."""
    found: dict[str, dict[str, Any]] = {}
    for record in _records(run):
        for name, version in record["environment"]["packages"].items():
            found.setdefault(name, {})[record["step"]] = version
    return found


def _installed(run: Run) -> Mapping[str, Any]:
    document = run.document
    return document["environment"].get("packages", {}) if document is not None else {}


def _package(row: Row, step: str | None, *, used: bool) -> PackageRow:
    change: Literal["added", "removed", "changed", "same"]
    if row["same"]:
        change = "same"
    elif 0 in row["missing"]:
        change = "added"
    else:
        change = "removed" if len(row["missing"]) == len(row["values"]) - 1 else "changed"
    return {**row, "change": change, "step": step, "used": used}


def environment(runs: Sequence[Run]) -> list[Row]:
    """Return what the runs ran in and from: engine, user, git, Python, platform, images."""
    return aligned([_around(run) for run in runs])


def _around(run: Run) -> dict[str, Any]:
    document = run.document
    found: dict[str, Any] = {}
    git = document["git"] if document is not None else None
    if document is not None:
        engine = document["engine"]
        found |= {
            name: engine[name] for name in ("name", "executor", "namespace") if name in engine
        }
        found = {"engine" if name == "name" else name: value for name, value in found.items()}
        found |= {"trigger": document["trigger"], "user": document["user"]}
    recorded = list(_records(run))
    git = git or next((record["git"] for record in recorded if record["git"]), None)
    if git is not None:
        found |= {"commit": git["commit"], "branch": git["branch"]}
        found |= {"dirty": git["dirty"], "remote": git["remote"]}
        found["diff"] = git["diff"]["digest"] if git["diff"] else None
    for name in ("python", "implementation", "platform", "image"):
        found |= _of_environment(name, recorded, document)
    return found


def _of_environment(name: str, recorded: Sequence[Record], document: Any) -> dict[str, Any]:
    """Return what the steps ran in: one value, or one for each step where they differ."""
    of_step = {}
    for record in recorded:
        described: Mapping[str, Any] = record["environment"]
        of_step[record["step"]] = described[name]
    if not of_step:
        there = document["environment"].get(name) if document is not None else None
        return {} if there is None else {name: there}
    if all_same(of_step.values()):
        return {name: next(iter(of_step.values()))}
    return {f"{name} ({step})": value for step, value in sorted(of_step.items())}


def _records(run: Run) -> Iterator[Record]:
    for step in run.steps:
        if step.record is not None:
            yield step.record


# ---------------------------------------------------------------- steps


def step_rows(steps: Sequence[AlignedStep]) -> list[StepRow]:
    """Return how the steps went."""
    rows: list[StepRow] = []
    for each in steps:
        cells: list[StepCell | None]
        cells = [_step_cell(step) if step is not None else None for step in each.steps]
        there = [cell for cell in cells if cell is not None]
        rows.append(
            {
                "name": each.label,
                "node": each.node,
                "values": cells,
                "missing": [place for place, cell in enumerate(cells) if cell is None],
                "same": len(there) == len(cells) and _went_alike(there),
            }
        )
    return rows


def _step_cell(step: Step) -> StepCell:
    record = step.record
    used: ResourcesUsed = record["resources"] if record is not None else {}
    times = [used.get("cpu_user_seconds"), used.get("cpu_system_seconds")]
    known = [time for time in times if time is not None]
    return {
        "status": step.status,
        "cached": step.is_cached,
        "attempts": step.attempt_count,
        "seconds": step.seconds,
        "peak_memory": used.get("peak_memory_bytes"),
        "cpu_seconds": round(sum(known), 6) if known else None,
    }


def _went_alike(cells: Sequence[StepCell]) -> bool:
    """Whether steps ended in the same way and took about as long and as much memory."""
    first = cells[0]
    return all(
        (cell["status"], cell["cached"], cell["attempts"])
        == (first["status"], first["cached"], first["attempts"])
        and are_alike(cell["seconds"], first["seconds"], SAME_SECONDS)
        and are_alike(cell["peak_memory"], first["peak_memory"], SAME_BYTES)
        for cell in cells
    )


def are_alike(one: float | None, other: float | None, least: float) -> bool:
    """Whether two amounts are about the same: nobody looks for the reason of the difference."""
    if one is None or other is None:
        return True
    return abs(one - other) <= max(least, SAME_SHARE * max(one, other))
