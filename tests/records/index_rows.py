"""Rows put into an index by SQL, for tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from levada_records.index import COLUMNS, Index

#: A run of which a test says only what it is about.
PLAIN = {
    "pipeline": "churn",
    "status": "succeeded",
    "started": "2026-11-30T06:00:00.000000Z",
    "finished": "2026-11-30T06:00:12.500000Z",
    "seconds": 12.5,
    "engine": "local",
    "engine_ids": {"name": "local"},
    "trigger": "manual",
    "user": "ann",
    "params": {},
    "metrics": {},
    "tags": {},
    "dirty": 0,
}


def put(index: Index, run_id: str, **fields: Any) -> None:
    """Add a run to an index."""
    put_all(index, [{"run_id": run_id, **fields}])


def put_all(index: Index, rows: Iterable[dict[str, Any]]) -> None:
    """Add runs to an index, each with the fields of `PLAIN` that it does not have itself."""
    names = ", ".join(f'"{column.name}"' for column in COLUMNS)
    places = ", ".join("?" * len(COLUMNS))
    list(index.execute("BEGIN"))
    for row in rows:
        values = [_value(column.kind, ({**PLAIN, **row}).get(column.name)) for column in COLUMNS]
        list(index.execute(f"INSERT INTO runs ({names}) VALUES ({places})", values))
    list(index.execute("COMMIT"))


def _value(kind: str, value: object) -> object:
    if kind == "json" and value is not None:
        return json.dumps(value, ensure_ascii=False)
    return value


def metric(last: float | str, *others: float) -> dict[str, object]:
    """What the index has of a metric, by its last value and the ones before."""
    values = [value for value in (last, *others) if not isinstance(value, str)]
    found: dict[str, object] = {"last": last, "count": 1 + len(others)}
    return {**found, "min": min(values), "max": max(values)} if values else found
