"""Rows of the index: what one entry of the log says of a run, and how two such rows are merged.

An entry, a line of a segment and a row of the database are the same: what is known of one run.
`merge` does not depend on the order, and merging a row twice changes nothing. So entries may be
read in any order, twice, or out of a segment and the log both.

Whatever is in a store may have been damaged or written by a newer version: a value of the wrong
type is left out, and what is long is cut.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from .tables import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    #: What is known of one run, in the order of `COLUMNS`; JSON columns are JSON texts.
    Row: TypeAlias = "tuple[Any, ...]"
    RunKey: TypeAlias = tuple[str, str]

NAMES = tuple(each.name for each in COLUMNS)
_AT = {name: at for at, name in enumerate(NAMES)}
_STARTED = tuple(at for at, each in enumerate(COLUMNS) if each.part == "started")
_ENDED = tuple(at for at, each in enumerate(COLUMNS) if each.part == "ended")
_STATUS, _STARTED_KEY, _ENDED_KEY = _AT["status"], _AT["started_key"], _AT["ended_key"]
_TAGS, _TAG_KEYS = _AT["tags"], _AT["tag_keys"]
_NOTE, _NOTE_KEY = _AT["note"], _AT["note_key"]

RUNNING = "running"
DAMAGED = "damaged"
STATUSES = ("succeeded", "failed", "cancelled", DAMAGED)
#: Characters of a text at most, and of a JSON column; what is larger is left out.
LONGEST_TEXT, LONGEST_JSON = 20_000, 4 << 20
#: Bytes of a name and of a time at most: PostgreSQL has 2,704 for a key.
LONGEST_NAME, _LONGEST_TIME = 1000, 40
#: One more than the largest whole number of a database.
INT64 = 1 << 63
#: A whole number that no database compares with others.
_HUGE = 1 << 1000
#: Digits of a number that may be as large: of 301 in a row, these many are at a multiple of them.
_DIGITS = 150
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def row_of_entry(name: str, entry: Any) -> Row | None:
    """Return what an entry of the log says; None for one that is no entry, or of a newer schema.

    ``name`` is the entry's, without ``.json``: by it two entries of one kind are in order.
    """
    if type(entry) is not dict or entry.get("schema") != "levada.index/1":
        return None
    key = key_of_entry(entry)
    fields = _KINDS.get(str(entry.get("kind")))
    return None if key is None or fields is None else _row(*key, fields(name, entry))


def key_of_entry(entry: Any) -> RunKey | None:
    """Return which run an entry is of, of whatever schema; None if it does not say so."""
    if type(entry) is not dict:
        return None
    pipeline, run_id = entry.get("pipeline"), entry.get("run_id")
    if type(pipeline) is not str or type(run_id) is not str:
        return None
    return (pipeline, run_id) if is_name(pipeline) and is_name(run_id) else None


def is_name(name: str) -> bool:
    """Whether a text can be the name of a pipeline or of a run; both make a key."""
    if not name or len(name) > LONGEST_NAME:
        return False
    return name.isascii() or len(clean(name).encode()) <= LONGEST_NAME


def _row(pipeline: str, run_id: str, fields: dict[str, object]) -> Row:
    given = {"pipeline": clean(pipeline), "run_id": clean(run_id), "status": RUNNING, **fields}
    return tuple(map(given.get, NAMES))


def row_of_damaged(pipeline: str, run_id: str, *, note: str) -> Row:
    """Return the row of a run whose own document cannot be read: whatever else is known wins."""
    keys = {"started_key": "", "ended_key": "", "note_key": ""}
    return _row(pipeline, run_id, {"status": DAMAGED, "note": note, **keys})


def row_of_unread_end(pipeline: str, run_id: str, *, status: object, note: str) -> Row:
    """Return the row of a run whose outcome cannot be read, but for its status."""
    known = status if status in STATUSES else DAMAGED
    fields: dict[str, object] = {"ended_key": "", "note_key": "", "note": note, "status": known}
    return _row(pipeline, run_id, fields)


def row_of_newer(pipeline: str, run_id: str, document: dict[str, Any], *, note: str) -> Row:
    """Return the row of a run whose ``run.json`` is of a newer schema: what can be read of it."""
    engine = document.get("engine")
    fields: dict[str, object] = {
        "started": time(document, "created"),
        "trigger": text(document, "trigger"),
        "user": text(document, "user"),
        "engine": text(engine, "name") if type(engine) is dict else None,
        "params": "{}",
        "started_key": "",
        "note": note,
        "note_key": "",
    }
    return _row(pipeline, run_id, fields)


def key_of(row: Row) -> RunKey:
    """Return which run a row is of."""
    return row[0], row[1]


def has_started(row: Row) -> bool:
    """Whether it is known how the run was started."""
    return row[_STARTED_KEY] is not None


def is_over(row: Row) -> bool:
    """Whether it is known how the run ended."""
    return row[_ENDED_KEY] is not None


def merge(one: Row, other: Row) -> Row:
    """Return all that two rows of one run say; of two that say the same thing, the later one.

    >>> merge(started, ended) == merge(ended, started)
    True
    """
    merged = list(one)
    if _later(other[_STARTED_KEY], one[_STARTED_KEY], other, one, _STARTED):
        for at in _STARTED:
            merged[at] = other[at]
    if _later(other[_ENDED_KEY], one[_ENDED_KEY], other, one, _ENDED):
        for at in _ENDED:
            merged[at] = other[at]
    if _rank(other[_NOTE_KEY], other[_NOTE]) > _rank(one[_NOTE_KEY], one[_NOTE]):
        merged[_NOTE], merged[_NOTE_KEY] = other[_NOTE], other[_NOTE_KEY]
    if other[_TAG_KEYS] is not None and other[_TAG_KEYS] != one[_TAG_KEYS]:
        merged[_TAGS], merged[_TAG_KEYS] = _merged_tags(one[_TAG_KEYS], other[_TAG_KEYS])
    return tuple(merged)


def _later(key: Any, known: Any, row: Row, known_row: Row, part: tuple[int, ...]) -> bool:
    """Whether a part of a row counts, and not the one that is known."""
    if key is None or known is None or key != known:
        return key is not None and (known is None or key > known)
    # Two entries of one name are one entry, unless somebody has changed it: any order will do.
    return [repr(row[at]) for at in part] > [repr(known_row[at]) for at in part]


def _rank(key: str | None, value: str | None) -> tuple[str, bool, str]:
    """Return what two values of a tag or note are compared by; no two values have the same."""
    return key or "", value is not None, value or ""


def _merged_tags(one: str | None, other: str) -> tuple[str, str]:
    known: dict[str, list[Any]] = json.loads(one) if one else {}
    for name, (key, value) in json.loads(other).items():
        known_key, known_value = known.get(name, ("", None))
        if _rank(key, value) > _rank(known_key, known_value):
            known[name] = [key, value]
    return _tag_columns(known)


def _tag_columns(keyed: dict[str, list[Any]]) -> tuple[str, str]:
    keyed = dict(sorted(keyed.items()))
    tags = {name: value for name, (_, value) in keyed.items() if value is not None}
    return _encode(tags), _encode(keyed)


def merged(rows: Iterable[Row]) -> dict[RunKey, Row]:
    """Return one row for each run of many rows."""
    found: dict[RunKey, Row] = {}
    for row in rows:
        key = (row[0], row[1])
        known = found.get(key)
        found[key] = row if known is None else merge(known, row)
    return found


# ---------------------------------------------------------------- fields of entries


def _started(name: str, entry: dict[str, Any]) -> dict[str, object]:
    dirty = entry.get("dirty")
    return {
        "started": time(entry, "started"),
        "engine": text(entry, "engine"),
        "engine_ids": json_object(entry, "engine_ids"),
        "environment": text(entry, "environment"),
        "trigger": text(entry, "trigger"),
        "user": text(entry, "user"),
        "params": json_object(entry, "params"),
        "commit": text(entry, "commit"),
        "branch": text(entry, "branch"),
        "dirty": int(dirty) if type(dirty) is bool else None,
        "plan": text(entry, "plan"),
        "source": text(entry, "source"),
        "started_key": name,
    }


def _ended(name: str, entry: dict[str, Any]) -> dict[str, object]:
    status = entry.get("status")
    return {
        "status": status if status in STATUSES else DAMAGED,
        "finished": time(entry, "finished"),
        "seconds": number(entry, "seconds"),
        "metrics": json_column("metrics", entry.get("metrics")),
        "code": json_object(entry, "code"),
        "inputs": json_object(entry, "inputs"),
        "outputs": json_object(entry, "outputs"),
        "counts": json_object(entry, "counts"),
        "error": json_object(entry, "error") if entry.get("error") is not None else None,
        "peak_memory": _integer(entry, "peak_memory"),
        "cpu_seconds": number(entry, "cpu_seconds"),
        "ended_key": name,
    }


def _tagged(name: str, entry: dict[str, Any]) -> dict[str, object]:
    given = entry.get("tags")
    keyed = {
        clean(str(tag)): [name, None if value is None else clean(str(value))]
        for tag, value in (given.items() if type(given) is dict else ())
    }
    tags, keys = _tag_columns(keyed)
    return {"tags": tags, "tag_keys": keys}


def _noted(name: str, entry: dict[str, Any]) -> dict[str, object]:
    return {"note": text(entry, "note") or None, "note_key": name}  # an empty one removes it


_KINDS: dict[str, Callable[[str, dict[str, Any]], dict[str, object]]] = {
    "started": _started,
    "ended": _ended,
    "tagged": _tagged,
    "noted": _noted,
}


def clean(value: str) -> str:
    """Return a text as both databases take it: without NUL and without half surrogate pairs."""
    value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if value.isascii() or _is_clean(value):
        return value
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def text(entry: dict[str, Any], name: str) -> str | None:
    """Return a field that is a text; None for all else."""
    value = entry.get(name)
    return clean(value[:LONGEST_TEXT]) if type(value) is str else None


def time(entry: dict[str, Any], name: str) -> str | None:
    """Return a field that is a time in ISO 8601; None for all else."""
    value = text(entry, name)
    return value if value is not None and is_time(value) else None


def is_time(value: str) -> bool:
    """Whether a text is a time in ISO 8601."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return len(value) <= _LONGEST_TIME and value.isascii()


def is_metric(metric: Any) -> bool:
    """Whether something is a metric as an entry has it: its last, least and largest value."""
    if type(metric) is not dict:
        return False
    if type(metric.get("count", 0)) is not int:
        return False
    values = (metric.get("last"), metric.get("min", 0.0), metric.get("max", 0.0))
    return {*map(type, values)} == {float} or all(map(_is_number, values))


def _is_number(value: object) -> bool:
    if type(value) is int:
        return abs(value) < _HUGE
    return type(value) is float or value in ("NaN", "Infinity", "-Infinity")


def number(entry: dict[str, Any], name: str) -> float | None:
    """Return a field that is a finite number; None for all else."""
    value = entry.get(name)
    if type(value) is int:
        value = float(value) if abs(value) < _HUGE else None
    return value if type(value) is float and value - value == 0 else None


def _integer(entry: dict[str, Any], name: str) -> int | None:
    value = number(entry, name)
    return None if value is None or abs(value) >= INT64 else int(value)


def json_object(entry: dict[str, Any], name: str) -> str:
    """Return a field that is a JSON object as JSON; ``{}`` for all else, and for a huge one."""
    return json_column(name, entry.get(name))


def json_column(name: str, value: object) -> str:
    """Return the JSON of a column; of ``metrics`` those that are as an entry has them."""
    if type(value) is not dict:
        return "{}"
    if name == "metrics" and not all(map(is_metric, value.values())):
        value = {key: metric for key, metric in value.items() if is_metric(metric)}
    try:
        found = _encode(value)
    except (ValueError, RecursionError):
        return "{}"
    if len(found) > LONGEST_JSON:
        return "{}"
    if _is_odd(found) or not _is_clean(found):
        return _encode(_clean_json(value))
    return found


def _is_odd(found: str) -> bool:
    """Whether JSON may have in it what PostgreSQL does not take, or cannot compare."""
    if "\\u" in found or "NaN" in found or "Infinity" in found:
        return True
    starts = range(0, len(found) - _DIGITS + 1, _DIGITS)
    return any(found[at : at + _DIGITS].isdigit() for at in starts)


def _is_clean(found: str) -> bool:
    try:
        found.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean_json(value: Any) -> Any:
    """Return JSON as PostgreSQL takes it: no NUL, no half surrogate pairs, no NaN as a number."""
    if type(value) is str:
        return clean(value)
    if type(value) is float and value - value != 0:
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if type(value) is int and abs(value) >= _HUGE:
        return str(value)
    if type(value) is list:
        return [_clean_json(each) for each in value]
    if type(value) is dict:
        return {clean(key): _clean_json(each) for key, each in value.items()}
    return value
