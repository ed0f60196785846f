"""Which runs of a store are old enough to be removed, and which stay and why."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from levada import index_log, records
from levada.store import unquote_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from levada.store import Store

T = TypeVar("T")
U = TypeVar("U")

#: The tag by which a run is never removed.
KEEP = "keep"
#: Requests that are made at once where a store is in a bucket.
AT_ONCE = 16
#: What may be the id of a run, in a document that this version does not know.
_QUOTED = re.compile(rb'"([^"\\]{1,1000})"')
_LOGS = ("log", "metrics", records.STARTED)
_SECOND = 1_000_000_000


class Policy(NamedTuple):
    """What `collect` removes; times in seconds."""

    keep: float  #: how long a run is kept after its end
    keep_runs: int = 0  #: the latest runs of each pipeline that are kept, however old
    keep_tagged: bool = False  #: whether a run with any tag is kept
    grace: float = 3600.0  #: between the two passes
    youngest: float = 86_400.0  #: a blob that is younger is never removed
    silent: float = 30 * 86_400.0  #: what has no end and wrote nothing for so long has ended


class Run:
    """The files of one run, in short. Times are in nanoseconds since the epoch."""

    __slots__ = (
        *("annotations", "attempts", "bytes", "ended", "files", "newest", "oldest", "outcomes"),
        *("pipeline", "reason", "refers_to", "run_id", "started", "tags", "trouble"),
    )

    def __init__(self, pipeline: str, run_id: str) -> None:
        self.pipeline = pipeline
        self.run_id = run_id
        self.files = self.bytes = self.newest = 0
        self.oldest = 1 << 62
        self.outcomes: list[str] = []
        self.annotations: list[str] = []
        #: by folder of an attempt without a record: when its first and its last file was written
        self.attempts: dict[str, tuple[int, int] | None] = {}
        self.started: int | None = None
        self.ended: int | None = None
        self.tags: set[str] = set()
        self.refers_to: set[str] = set()  #: ids of runs
        self.trouble = ""  #: why a document is not understood that may say that the run stays
        self.reason = ""  #: why it stays; empty if it goes

    @property
    def folder(self) -> str:
        """Its folder in the store."""
        return records.run_path(self.pipeline, self.run_id)

    def add(self, inside: str, size: int, written: int) -> None:
        """Take note of one of its files, by its path in the folder."""
        self.files += 1
        self.bytes += size
        self.newest, self.oldest = max(self.newest, written), min(self.oldest, written)
        folder, _, name = inside.rpartition("/")
        if not folder and name.startswith("outcome") and name.endswith(".json"):
            self.outcomes.append(inside)
        elif folder == "annotations" and name.endswith(".json"):
            self.annotations.append(inside)
        elif name == "record.json":
            self.attempts[folder] = None
        elif name.partition(".")[0] in _LOGS and folder.rpartition("/")[2].isdecimal():
            first, last = self.attempts.get(folder, (written, written)) or (0, 0)
            if first:
                self.attempts[folder] = (min(first, written), max(last, written))

    def active_since(self, now: int, silent: int) -> int | None:
        """Return since when it may be running; None if it is not.

        One that has ended is, as far as an attempt began after its end: its engine can have
        started a task once more.
        """
        if self.ended is None:
            first = min(self.oldest, self.oldest if self.started is None else self.started)
            return first if now - self.newest < silent else None
        open_attempts = [times for times in self.attempts.values() if times is not None]
        recent = [
            first
            for first, last in open_attempts
            if last > self.ended + _SECOND and now - last < silent
        ]
        return min(recent, default=None)


def in_parallel(function: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """Call a function with each item, in a few threads, of which each has a part of the items."""
    size = -(-len(items) // AT_ONCE)
    parts = [items[first : first + size] for first in range(0, len(items), size or 1)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(lambda part: [function(item) for item in part], parts)
        return [each for part in done for each in part]


def find_runs(store: Store) -> list[Run]:
    """List the runs of a store, with what their own documents say. Raises StoreError."""
    found: dict[str, Run] = {}
    for path, size, written in store.walk_times("runs"):
        parts = path.split("/", 3)
        if len(parts) < 4:
            continue  # no run's
        key = f"{parts[1]}/{parts[2]}"
        if key not in found:
            found[key] = Run(unquote_name(parts[1]), unquote_name(parts[2]))
        found[key].add(parts[3], size, written)
    runs = [found[key] for key in sorted(found)]
    in_parallel(lambda run: _read(store, run), runs)
    return runs


def _read(store: Store, run: Run) -> None:
    document = _document(store, run, "run.json")
    if document is not None:
        run.started = nanoseconds(document.get("created"))
    if document is None or _is_of_other_version(document, records.RUN_SCHEMA):
        # It may say in its own way what the run was started from.
        run.refers_to |= _quoted(store, f"{run.folder}/run.json")
        if document is not None:
            run.trouble = _of_other_version("run.json", document)
    else:
        engine = document.get("engine")
        for holder in (document, engine if isinstance(engine, dict) else {}):
            for name in ("retry_of", "rerun_of"):
                if isinstance(holder.get(name), str):
                    run.refers_to.add(holder[name])
    if run.outcomes:
        # One that cannot be read ended nevertheless, when it was written last.
        ends = [_document(store, run, name) for name in run.outcomes]
        times = [nanoseconds(end.get("finished")) for end in ends if end is not None]
        run.ended = max((each for each in times if each is not None), default=run.newest)
    for name in sorted(run.annotations):
        annotation = _document(store, run, name) or {}
        tags = annotation.get("tags")
        if _is_of_other_version(annotation, index_log.ANNOTATION_SCHEMA):
            run.trouble = run.trouble or _of_other_version(name, annotation)
        elif not isinstance(tags, dict):
            run.trouble = run.trouble or f"{name} cannot be read"
        else:
            run.tags.update(tags)
            run.tags.difference_update(tag for tag, value in tags.items() if value is None)


def _document(store: Store, run: Run, name: str) -> dict[str, Any] | None:
    return records.read_document(store, f"{run.folder}/{name}")


def _is_of_other_version(document: dict[str, Any], schema: str) -> bool:
    found = document.get("schema")
    return isinstance(found, str) and found != schema


def _of_other_version(name: str, document: dict[str, Any]) -> str:
    return f"{name} is of another version of Levada ({document['schema'][:60]})"


def _quoted(store: Store, path: str) -> set[str]:
    """Return the texts of a document, whatever it is, and what is after a slash in each."""
    try:
        found = _QUOTED.findall(store.read(path))
    except FileNotFoundError:
        return set()
    texts = {text.decode("utf-8", "replace") for text in found}
    return texts | {text.rpartition("/")[2] for text in texts}


def nanoseconds(text: object) -> int | None:
    """Return the time of an ISO text in nanoseconds since the epoch; None for what is no time.

    >>> nanoseconds("1970-01-01T00:00:01.000000Z")
    1000000000
    """
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(time.timestamp() * 1_000_000) * 1000 if time.tzinfo is not None else None


def decide(runs: Iterable[Run], policy: Policy, now: int, named: Mapping[str, str]) -> list[Run]:
    """Set the reason of each run that stays; return those that go.

    ``now`` is in nanoseconds. ``named`` are ids that documents outside of ``runs/`` have, with what
    kind of document has each.
    """
    runs = list(runs)
    latest = _latest(runs, policy.keep_runs)
    for run in runs:
        run.reason = _reason(run, policy, now, named, is_latest=run in latest)
    by_id: dict[str, list[Run]] = {}
    for run in runs:
        by_id.setdefault(run.run_id, []).append(run)
    pending = [run for run in runs if run.reason]
    while pending:
        run = pending.pop()
        for each in (held for name in run.refers_to for held in by_id.get(name, ())):
            if not each.reason:
                each.reason = f"run {run.run_id} was started from it"
                pending.append(each)
    return [run for run in runs if not run.reason]


def _latest(runs: Iterable[Run], count: int) -> set[Run]:
    by_pipeline: dict[str, list[Run]] = {}
    for run in runs:
        by_pipeline.setdefault(run.pipeline, []).append(run)
    return {run for each in by_pipeline.values() for run in _last(each, count)}


def _last(runs: list[Run], count: int) -> Iterator[Run]:
    ordered = sorted(runs, key=lambda run: (run.started or run.oldest, run.run_id))
    yield from ordered[len(ordered) - count :] if count else ()


def _reason(
    run: Run, policy: Policy, now: int, named: Mapping[str, str], *, is_latest: bool
) -> str:
    """Say why a run stays, whatever other runs there are; nothing if it goes."""
    if run.active_since(now, int(policy.silent * _SECOND)) is not None:
        return "it may be running"
    over = run.newest if run.ended is None else run.ended
    if now - over < policy.keep * _SECOND:
        return "it is young enough"
    if run.trouble:
        return f"{run.trouble}, and may say that it stays"
    if KEEP in run.tags:
        return f"it has the tag `{KEEP}`"
    if policy.keep_tagged and run.tags:
        return "it has a tag"
    if is_latest:
        return "it is one of the latest of its pipeline"
    if run.run_id in named:
        return f"{named[run.run_id]} name it"
    return ""
