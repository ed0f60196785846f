"""Entries of the log, as runs write them, at times that a test says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from levada import index_log, records
from levada.store import Store

DIGEST = "sha256:" + "0" * 64


def at(text: str) -> float:
    """Seconds since the epoch of ``2026-01-02 15:04``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def time(seconds: float) -> str:
    return records.timestamp(int(seconds * 1e9))


def started(run_id: str, seconds: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {
        "schema": index_log.SCHEMA,
        "kind": "started",
        "pipeline": "churn",
        "run_id": run_id,
        "started": time(seconds),
        "engine": "local",
        "engine_ids": {"name": "local"},
        "environment": None,
        "trigger": "manual",
        "user": "mila",
        "params": {"depth": 4},
        "commit": "c" * 40,
        "branch": "main",
        "dirty": False,
        "plan": DIGEST,
        "source": DIGEST,
        **fields,
    }


def ended(run_id: str, seconds: float = 0.0, **fields: Any) -> dict[str, Any]:
    counts = ("steps", "cached", "failed", "skipped", "attempts", "inputs", "outputs")
    return {
        "schema": index_log.SCHEMA,
        "kind": "ended",
        "pipeline": "churn",
        "run_id": run_id,
        "status": "succeeded",
        "finished": time(seconds),
        "seconds": 1.5,
        "metrics": {"train.auc": {"last": 0.5, "min": 0.25, "max": 0.5, "count": 2}},
        "code": {"m:f": DIGEST},
        "inputs": {"f.x": DIGEST},
        "outputs": {"f": DIGEST},
        "counts": dict.fromkeys(counts, 1),
        "error": None,
        "peak_memory": 1000,
        "cpu_seconds": 0.5,
        **fields,
    }


def tagged(run_id: str, **tags: str | None) -> dict[str, Any]:
    return {
        "schema": index_log.SCHEMA,
        "kind": "tagged",
        "pipeline": "churn",
        "run_id": run_id,
        "user": "mila",
        "tags": tags,
    }


def noted(run_id: str, note: str) -> dict[str, Any]:
    return {
        "schema": index_log.SCHEMA,
        "kind": "noted",
        "pipeline": "churn",
        "run_id": run_id,
        "user": "mila",
        "note": note,
    }


def write(store: Store, entry: dict[str, Any], seconds: float, random: str = "00000000") -> str:
    """Write an entry of that time; gives its name."""
    name = f"{index_log.entry_time(int(seconds * 1e9))}-{random}"
    store.write_once(f"{index_log.FOLDER}/{name}.json", records.document(entry))
    return name
