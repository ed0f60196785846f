"""Garbage: runs that are old, and blobs that nothing refers to any more.

What a store has for good is what its documents refer to: those of runs, of models, data and
deployments, and cache entries of runs that stay. `collect` finds what is not, in two passes:

1. It removes old runs and the cache entries that only they needed, and writes down which blobs
   nothing refers to: ``gc/<time>.json``, with the time at which each blob was written.
2. A later call, at least the grace period after, removes those of them that still nothing refers
   to, and that have not been written again.

Why no run loses a blob, while runs are written on other machines:

- A blob that is stored again although it is there gets a new time (`Store.walk_times`): in a bucket
  it is uploaded again, in a folder `publish_small` sets the time. The second pass removes a blob
  only if its time is the one that was written down. In a folder the last look at the time is after
  the blob was moved aside: a writer either changes the time before, or finds that the blob is gone
  and writes it. In a bucket there is the time of one request between look and removal.
- A blob that a hit in the cache gives again is referred to by an entry. Entries are removed in the
  first pass, blobs after the grace period: whoever read the entry before has written its record.
- A blob that was stored and is in no record yet is of an attempt that still runs. Blobs that were
  written since the start of the oldest run that may still run are kept, less a day for clocks that
  differ; and so is every blob that is younger than a day. A run without an end may still run if one
  of its files is less than 30 days old; so does an attempt without a record that began after the
  end of its run.
- References are found in the bytes, wherever they stand (`levada_records.digests`). A document that
  stays and that cannot be read may refer to anything: then no blob is removed.
- An entry of the cache that stays keeps all that it refers to: the next hit gives its series,
  previews and observed files to a new record.
- A run is listed once more just before it is removed. One that was written to since the decision
  (tagged, retried) stays, with its blobs, and the next call decides.

Two calls at once remove the same things: that is harmless.
"""

from __future__ import annotations

from collections import Counter
from time import time_ns
from typing import TYPE_CHECKING, Any

from levada import index_log, records
from levada.store import blob_name

from levada_records import retention
from levada_records.index import log_entries, segments
from levada_records.reachable import Reachable, foreign_names, other_documents
from levada_records.retention import Policy, in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from levada.store import Store

    from levada_records.reachable import Entry
    from levada_records.retention import Run

__all__ = ["SCHEMA", "Policy", "Report", "collect"]

SCHEMA = "levada.gc/1"
FOLDER = "gc"
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
#: Blobs that one document names at most; the others come with the next call.
_MOST = 1_000_000
#: Names that are removed by one request.
_AT_A_TIME = 1000

#: By digest of 32 bytes: the size in bytes, and when it was written.
Blobs = dict[bytes, tuple[int, int]]


class Report:
    """What a call of `collect` did, or would do."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.runs: list[Run] = []  #: that are removed
        self.kept: Counter[str] = Counter()  #: runs, by the reason why they stay
        self.running: list[str] = []  #: names of runs that may be running, and hold blobs back
        self.entries = self.entry_bytes = 0
        self.blobs = self.blob_bytes = 0
        self.next_blobs = self.next_bytes = 0  #: that a later call removes
        self.next_at: str | None = None  #: from when on
        self.young_blobs = self.young_bytes = 0
        self.log_entries = 0
        self.temporary = 0
        self.foreign: list[str] = []  #: what is in the store's folder and not Levada's: left alone
        self.unreadable: list[str] = []  #: documents because of which no blob is removed

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON: ``levada_cli/schemas/gc.json``."""
        return {
            "schema": SCHEMA,
            "dry_run": self.dry_run,
            "runs": {
                "count": len(self.runs),
                "bytes": sum(run.bytes for run in self.runs),
                "removed": [{"pipeline": r.pipeline, "run_id": r.run_id} for r in self.runs],
                "kept": dict(sorted(self.kept.items())),
                "running": self.running,
            },
            "cache_entries": {"count": self.entries, "bytes": self.entry_bytes},
            "blobs": {"count": self.blobs, "bytes": self.blob_bytes},
            "next": {"count": self.next_blobs, "bytes": self.next_bytes, "at": self.next_at},
            "too_young": {"count": self.young_blobs, "bytes": self.young_bytes},
            "log_entries": {"count": self.log_entries},
            "temporary_files": {"count": self.temporary},
            "foreign": self.foreign,
            "unreadable": self.unreadable,
        }


def collect(
    store: Store,
    policy: Policy,
    *,
    dry_run: bool = False,
    progress: Callable[[str, int], None] = lambda _what, _count: None,
) -> Report:
    """Remove what is old and what nothing refers to; with ``dry_run`` only say what would go.

    ``progress`` is called with what is done (``read``, ``listed``, ``removed``) and how often it
    was. Raises StoreError.

    >>> collect(open_store(".levada"), Policy(keep=90 * 86400), dry_run=True).as_json()
    """
    return _Collection(store, policy, Report(dry_run=dry_run), progress).run()


class _Collection:
    """One call of `collect`."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        report: Report,
        progress: Callable[[str, int], None],
    ) -> None:
        self._store = store
        self._policy = policy
        self._report = report
        self._progress = progress
        self._now = time_ns()
        self._removed = 0

    def run(self) -> Report:
        """Do it all."""
        report, reach = self._report, Reachable(self._store, self._progress)
        others = other_documents(self._store)
        report.foreign = foreign_names(self._store)
        runs = retention.find_runs(self._store)
        report.runs = retention.decide(runs, self._policy, self._now, self._named(runs, others))
        report.kept = Counter(run.reason for run in runs if run.reason)
        reach.add_documents(others)
        reach.add_runs({run.folder for run in runs if run.reason})
        oldest = self._now - int(self._policy.keep * _SECOND)
        entries = reach.add_cache(lambda key, written: key in reach.keys or written > oldest)
        reach.look_into_trees()
        useless = [entry for entry in entries if not _has_values(entry, reach.live)]
        reach.add_entries(set(entries).difference(useless))
        reach.look_into_trees()
        garbage = self._garbage(reach)
        self._remove_entries(useless)
        if changed := self._remove_runs(report.runs):
            report.runs = [run for run in report.runs if run.folder not in changed]
            report.kept["it was written to just now"] += len(changed)
            reach.add_runs(changed)
            reach.look_into_trees()
            garbage = self._garbage(reach)
        self._trim_log()
        report.unreadable = sorted(reach.unreadable)
        if report.unreadable:
            return report
        self._collect_blobs(garbage, self._held_since(runs))
        self._sweep()
        return report

    def _named(self, runs: Iterable[Run], others: Iterable[tuple[str, int]]) -> dict[str, str]:
        """Return the ids of runs that other documents have, with the folder of one that has it."""
        ids = {run.run_id for run in runs}
        found: dict[str, str] = {}
        for path, _ in others:
            for text in _texts(records.read_document(self._store, path)):
                if text in ids:
                    found.setdefault(text, path.partition("/")[0])
        return found

    def _held_since(self, runs: Iterable[Run]) -> int:
        """Return from when on what was written may be of an attempt that runs."""
        silent = int(self._policy.silent * _SECOND)
        active = [(run, run.active_since(self._now, silent)) for run in runs]
        since = [(start, run) for run, start in active if start is not None]
        for _, run in sorted(since, key=lambda each: (each[0], each[1].run_id))[:10]:
            self._report.running.append(f"{run.pipeline}/{run.run_id}")
        return min((start for start, _ in since), default=self._now)

    # ---------------------------------------------------------------- blobs

    def _garbage(self, reach: Reachable) -> Blobs:
        """List the blobs that nothing refers to."""
        found: Blobs = {}
        there: set[bytes] = set()
        for count, (path, size, written) in enumerate(self._store.walk_times("blobs"), 1):
            digest = _digest_of(path)
            if digest is None:
                continue  # Levada has not written it.
            if digest not in reach.live:
                found[digest] = (size, written)
            elif digest in reach.unknown:
                there.add(digest)
            if count % 10_000 == 0:
                self._progress("listed", count)
        reach.look_into_unknown(there)
        return {digest: each for digest, each in found.items() if digest not in reach.live}

    def _collect_blobs(self, garbage: Blobs, held_since: int) -> None:
        report, margin = self._report, int(self._policy.youngest * _SECOND)
        before = min(self._now, held_since) - margin
        old = {digest: each for digest, each in garbage.items() if each[1] <= before}
        report.young_blobs = len(garbage) - len(old)
        report.young_bytes = _bytes(garbage) - _bytes(old)
        due, waiting, consumed = self._marked()
        gone = {d: each for d, each in old.items() if due.get(d) == each[1]}
        removed = self._remove_blobs(gone)
        report.blobs, report.blob_bytes = len(removed), _bytes(removed)
        rest = {d: each for d, each in old.items() if d not in gone}
        report.next_blobs, report.next_bytes = len(rest), _bytes(rest)
        new = {d: each for d, each in rest.items() if waiting.get(d) != each[1]}
        if rest:
            until = self._now + int(self._policy.grace * _SECOND)
            report.next_at = records.timestamp(until)
        if report.dry_run:
            return
        if new:
            self._mark(dict(sorted(new.items())[:_MOST]))
        self._store.delete_all(consumed)

    def _marked(self) -> tuple[dict[bytes, int], dict[bytes, int], list[str]]:
        """Return what earlier calls have marked: what is due, what is not, and read documents."""
        due: dict[bytes, int] = {}
        waiting: dict[bytes, int] = {}
        consumed: list[str] = []
        for name in self._store.list(FOLDER):
            path = f"{FOLDER}/{name}"
            document = records.read_document(self._store, path) or {}
            marked = retention.nanoseconds(document.get("time"))
            if document.get("schema") != SCHEMA or marked is None:
                continue  # of a newer version
            is_due = self._now - marked >= self._policy.grace * _SECOND
            held = due if is_due else waiting
            consumed += [path] if is_due else []
            for text, written in _pairs(document.get("blobs")):
                held[text] = written
        return due, waiting, consumed

    def _mark(self, blobs: Blobs) -> None:
        """Write down which blobs nothing refers to."""
        at = records.timestamp(time_ns())
        content = {
            "schema": SCHEMA,
            "time": at,
            "blobs": [[digest.hex(), written] for digest, (_, written) in blobs.items()],
        }
        name = at.replace("-", "").replace(":", "")
        self._store.write_once(f"{FOLDER}/{name}.json", records.document(content))

    def _remove_blobs(self, blobs: Blobs) -> Blobs:
        """Remove blobs that have not been written again; gives those that are gone."""
        if self._report.dry_run:
            return blobs

        def remove(item: tuple[bytes, tuple[int, int]]) -> bool:
            name = blob_name(f"sha256:{item[0].hex()}")
            return self._store.remove_unchanged(name, item[1][1])

        gone: Blobs = {}
        items = list(blobs.items())
        for first in range(0, len(items), _AT_A_TIME):
            part = items[first : first + _AT_A_TIME]
            removed = in_parallel(remove, part)
            gone |= {item[0]: item[1] for item, done in zip(part, removed, strict=True) if done}
            self._count(len(part))
        return gone

    # ---------------------------------------------------------------- documents

    def _remove_entries(self, entries: list[Entry]) -> None:
        self._report.entries = len(entries)
        self._report.entry_bytes = sum(each.size for each in entries)
        self._delete([each.path for each in entries])
        if not self._report.dry_run:
            for folder in sorted({each.path.rpartition("/")[0] for each in entries}):
                self._store.prune(folder)

    def _remove_runs(self, runs: list[Run]) -> set[str]:
        """Remove runs; return the folders of those that stay, for they are others by now.

        What says when a run ended goes last: a later call goes on by it.
        """
        changed: set[str] = set()
        for run in runs if not self._report.dry_run else ():
            now = list(self._store.walk_times(run.folder))
            newest = max((written for _, _, written in now), default=run.newest)
            if len(now) > run.files or newest > run.newest:
                changed.add(run.folder)
                continue
            paths = [path for path, _, _ in now]
            last = {f"{run.folder}/run.json", *(f"{run.folder}/{name}" for name in run.outcomes)}
            self._delete([path for path in paths if path not in last])
            index_log.write_removed(self._store, run.pipeline, run.run_id)
            self._delete([path for path in paths if path in last])
            self._store.prune(run.folder)
        return changed

    def _trim_log(self) -> None:
        """Remove entries of the index that a segment has, and segments that a larger one has."""
        entries = segments.covered_entries(self._store)
        listed = log_entries.names_after(self._store, "")
        paths = [log_entries.path_of(name) for name in listed if name in entries]
        self._report.log_entries = len(paths)
        self._delete(paths)
        self._delete(sorted(segments.covered_segments(self._store)))

    def _sweep(self) -> None:
        """Remove what writers left in ``tmp/`` a day ago."""
        before = self._now - _DAY
        old = [path for path, _, written in self._store.walk_times("tmp") if written < before]
        self._report.temporary = len(old)
        self._delete(old)

    def _delete(self, paths: list[str]) -> None:
        if self._report.dry_run:
            return
        for first in range(0, len(paths), _AT_A_TIME):
            part = paths[first : first + _AT_A_TIME]
            self._store.delete_all(part)
            self._count(len(part))

    def _count(self, count: int) -> None:
        before, self._removed = self._removed, self._removed + count
        if self._removed // 1000 != before // 1000:
            self._progress("removed", self._removed)


def _has_values(entry: Entry, live: set[bytes]) -> bool:
    """Whether an entry that no run needs has values, and all of them stay for another reason."""
    return bool(entry.artifacts and entry.artifacts <= live)


def _texts(content: object) -> Iterable[str]:
    pending = [content]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, list):
            pending += each


def _pairs(content: object) -> Iterable[tuple[bytes, int]]:
    for each in content if isinstance(content, list) else ():
        match each:
            case [str() as text, int() as written] if len(text) == 64:
                try:
                    yield bytes.fromhex(text), written
                except ValueError:
                    continue


def _digest_of(path: str) -> bytes | None:
    name = path.rpartition("/")[2]
    try:
        digest = bytes.fromhex(name)
    except ValueError:
        return None
    is_blob = len(digest) == 32 and path == f"blobs/sha256/{name[:2]}/{digest.hex()}"
    return digest if is_blob else None


def _bytes(blobs: Mapping[bytes, tuple[int, int]]) -> int:
    return sum(size for size, _ in blobs.values())
