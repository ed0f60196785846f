"""What steps took and gave, and what pipelines returned, side by side."""

from __future__ import annotations

from levada import values
from levada.artifact import ArtifactError
from levada.store import StoreError
from levada.trees.canonical import artifact_of, parse
from levada.trees.references import references

from levada_records.documents import in_parallel

from .rows import aligned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from levada.json_types import Json
    from levada.record_types import ArtifactJson, Record
    from levada.store import Store
    from levada.trees.tree_types import Tree

    from levada_records.runs import Run

    from .rows import Row, ValueCell, ValueRow
    from .steps import AlignedStep

#: Bytes of a stored value up to which it is shown itself, and how many are read at most.
SMALL, MOST_SHOWN = 1000, 200


def inputs(steps: Sequence[AlignedStep], store: Store) -> list[ValueRow]:
    """Return what the steps took that at least two of the runs have."""
    rows: list[ValueRow] = []
    for each in steps:
        if each.is_shared:
            tables = [_taken(step.record if step is not None else None) for step in each.steps]
            rows += [
                _value_row(row, each.label, f"{each.label}.{row['name']}")
                for row in aligned(tables)
            ]
    return _with_displays(rows, store)


def _taken(record: Record | None) -> dict[str, ValueCell]:
    found = record["inputs"] if record is not None else {}
    return {name: _cell(entry) for name, entry in found.items()}


def outputs(runs: Sequence[Run], steps: Sequence[AlignedStep], store: Store) -> list[ValueRow]:
    """Return what the pipelines returned, then what the steps gave that two of the runs have."""
    returned = aligned([_returned(run) for run in runs])
    rows = [_value_row(row, None, row["name"]) for row in returned]
    for each in steps:
        if each.is_shared:
            tables = [_given_by(step.record if step is not None else None) for step in each.steps]
            for row in aligned(tables):
                name = f"{each.label}.{row['name']}" if row["name"] else each.label
                rows.append(_value_row(row, each.label, name))
    return _with_displays(rows, store)


def _returned(run: Run) -> dict[str, ValueCell]:
    outcome = run.outcome
    if outcome is None or outcome["status"] != "succeeded":
        return {}
    is_one = outcome["kind"] in ("none", "value")
    names = outcome["names"] if len(outcome["names"]) == len(outcome["outputs"]) else []
    named = zip(names, outcome["outputs"], strict=False)
    return {"result" if is_one else f"result.{name}": _tree_cell(tree) for name, tree in named}


def _given_by(record: Record | None) -> dict[str, ValueCell]:
    """Return the cells of what a step gave; its return value has no name."""
    if record is None:
        return {}
    found: dict[str, ValueCell] = {}
    if record["returns"] is not None:
        found[""] = _artifact_cell(record["returns"])
    for name, entry in record["outputs"].items():
        found[name] = _cell(entry)
    for name, artifact in record["artifacts"].items():
        found[name] = _artifact_cell(artifact)
    return found


def _cell(entry: Mapping[str, Any]) -> ValueCell:
    """Return the cell of an input or a named output."""
    if "artifact" in entry:
        return _artifact_cell(entry["artifact"])
    return _tree_cell(entry.get("tree"))


def _artifact_cell(artifact: ArtifactJson) -> ValueCell:
    return {
        "digest": artifact["digest"],
        "type": artifact["type"],
        "size": artifact["size"],
        "format": artifact["format"],
    }


def _tree_cell(tree: Tree) -> ValueCell:
    try:
        leaf = artifact_of(tree)
        if leaf is not None:
            return _artifact_cell(leaf.as_json())
        cell: ValueCell = {
            "digest": values.digest(tree),
            "type": values.tree_type(tree),
            "size": None,
            "format": None,
        }
        refers = next(references(tree), None) is not None
        shown = None if refers else values.display(tree)
    except (ArtifactError, ValueError):
        return {"digest": "", "type": "damaged", "size": None, "format": None}
    return cell if refers or len(str(shown)) > SMALL else {**cell, "display": shown}


def _value_row(row: Row, step: str | None, name: str) -> ValueRow:
    there = [cell for cell in row["values"] if isinstance(cell, dict)]
    kinds = {tuple(str(cell[name]) for name in ("digest", "type", "format")) for cell in there}
    same = not row["missing"] and len(kinds) == 1
    return {**row, "name": name, "same": same, "step": step}


def _with_displays(rows: list[ValueRow], store: Store) -> list[ValueRow]:
    """Read the small values that differ, to show them as they are."""
    cells = [
        cell
        for row in rows
        if not row["same"]
        for cell in row["values"]
        if isinstance(cell, dict) and _is_small(cell)
    ][:MOST_SHOWN]
    for cell, shown in zip(
        cells, in_parallel(store, lambda each: _shown(each, store), cells), strict=True
    ):
        if shown is not None:
            cell["display"] = shown[0]
    return rows


def _is_small(cell: Mapping[str, Any]) -> bool:
    return "display" not in cell and cell["format"] == "json" and (cell["size"] or 0) <= SMALL


def _shown(cell: Mapping[str, Any], store: Store) -> tuple[Json] | None:
    try:
        data = store.read_blob(cell["digest"])
        tree = parse(data) if len(data) <= SMALL else None
        return (values.display(tree),) if not any(references(tree)) else None
    except (ArtifactError, StoreError):
        return None
