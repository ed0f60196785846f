"""Reuse of what a step gave before, by the content of everything that it depends on.

A key covers the step's code, the versions of the packages that it reaches, its inputs, its
environment variables and the names of its outputs. It is the same on every engine. What a step
reads besides is known only after it ran. Each entry of a key has it: fields of the context and
what was observed (``levada.observations``). An entry is used only if all of it is the same now.
"""

from __future__ import annotations

import json
import os
import time

from levada import (
    document_schemas,
    environment,
    input_classes,
    observations,
    records,
    values,
)
from levada.artifact import Artifact
from levada.store import StoreError, digest_of
from levada.trees.canonical import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from levada.cache_types import (
        CachedResult,
        CacheEntry,
        CachePart,
        KeyParts,
        Observed,
        Origin,
        Reason,
    )
    from levada.json_types import Json
    from levada.record_types import EnvironmentPart, OutputEntry, Record
    from levada.request import StepRequest
    from levada.store import Store
    from levada.trees.tree_types import Tree

SCHEMA = "levada.cache/2"
_CLOCKS_DIFFER = 300.0  # seconds by which the clocks of machines may differ
_MOST_ENTRIES = 16  # of one key that are looked at, the newest first
MOST_RUNS = 50  # earlier runs that an explanation looks at
#: The compiler turns the cache off where nobody uses the result, as an author does by a setting.
IS_OFF: Reason = {
    "part": "cache",
    "text": "the cache is off, or nobody uses the result: `cache=True` caches it",
}
NO_EARLIER_RUN: Reason = {"part": "run", "text": "there is no earlier run of this node"}


class Lookup:
    """The outcome of looking a step up.

    ``entry`` is what the cache holds, None for a miss. ``reasons`` says why it is a miss: each
    has ``part`` and ``text``, and ``before`` and ``after`` where there are two states to compare.
    ``is_open`` is True if only the step's own process can tell whether there is a hit.
    ``warnings`` say what is damaged in the store, in at most one sentence of all entries.
    """

    __slots__ = ("entry", "is_open", "key", "parts", "reasons", "warnings")

    def __init__(
        self,
        key: str,
        parts: KeyParts,
        entry: CachedResult | None,
        reasons: list[Reason],
        warnings: list[str] | None = None,
    ) -> None:
        self.key = key
        self.parts = parts
        self.entry = entry
        self.reasons = reasons
        self.warnings = warnings or []
        self.is_open = False

    @property
    def hit(self) -> bool:
        """Whether the step need not run."""
        return self.entry is not None

    def as_json(self) -> CachePart:
        """Give the cache part of a record."""
        return {
            "key": self.key,
            "hit": self.hit,
            "parts": self.parts,
            "from": self.entry["from"] if self.entry else None,
            "reasons": self.reasons,
        }


def parts_of(request: StepRequest, classes: Iterable[str]) -> KeyParts:
    """Give what the key is made of, each part by its digest or its text.

    ``classes`` are those of the inputs, by name (see ``levada.input_classes``).
    """
    described = environment_of(request)
    parts: KeyParts = {
        "step": request.key,
        "code": request.step.get("code"),
        "environment": described["digest"],
        "inputs": {name: values.digest(tree) for name, tree in sorted(request.inputs.items())},
        "outputs": request.outputs,
    }
    if request.settings.get("environment"):
        parts["variables"] = digest_of(canonical(_sorted(request.settings["environment"])))
    if digests := {name: input_classes.digest(name, request) for name in classes}:
        parts["classes"] = digests
    return parts


def packages_of(request: StepRequest) -> tuple[list[str], list[str]]:
    """Give the modules that a step imports and the distributions that it requires."""
    return request.step.get("imports") or [], request.settings.get("requirements") or []


def environment_of(request: StepRequest) -> EnvironmentPart:
    """Describe what the step runs in: its image, or this process; or what the request says.

    What is said of an image is kept in the request, for another answer would be another key.
    """
    if request.environment is None and request.container is not None:
        from levada import programs

        request.environment = {**programs.environment_here(request.settings["image"])}
    given: Any = request.environment  # `EnvironmentPart`, in JSON from an engine
    return given or environment.describe(*packages_of(request))


def key_of(parts: KeyParts) -> str:
    """Give the key: 64 hexadecimal digits."""
    return digest_of(canonical(_sorted(parts))).removeprefix("sha256:")


def lookup(request: StepRequest, store: Store, *, here: bool = True) -> Lookup:
    """Look a step up without importing any of its code. What an entry names is verified.

    ``here`` says whether the step would run in this file system with these variables.
    """
    is_off = request.settings.get("cache") is False
    # Inputs may be large: they are read only where the answer depends on them.
    classes = [] if is_off else input_classes.names(request.inputs.values(), store)
    if classes and not here:
        found = Lookup("", {}, None, [])
        found.is_open = True
        return found
    parts = parts_of(request, classes)
    found = Lookup(key_of(parts), parts, None, [])
    if is_off:
        found.reasons = [IS_OFF]
        return found
    if request.step.get("code") is None:
        found.reasons = [{"part": "code", "text": "the code is not known"}]
        return found
    _look_at_entries(found, request, store, here=here)
    return found


def _look_at_entries(found: Lookup, request: StepRequest, store: Store, *, here: bool) -> None:
    """Take the newest entry that can be used, or say why there is none."""
    folder, damage = _folder(found.key), ""
    # What is in the place of the folder is no cache of ours, wherever a link may lead.
    store.clear_way(f"{folder}/entry")
    found.warnings = store.take_warnings()
    for name in reversed(store.list(folder)[-_MOST_ENTRIES:]):
        path = f"{folder}/{name}"
        try:
            entry = _read(store, path, found.key)
            if not here and observations.is_of_its_place(entry["observed"]):
                found.is_open, found.reasons = True, []
                return
            reasons = _refusals(entry, found.key, request, store)
        except _DamagedEntryError as error:
            reasons = [{"part": error.part, "text": f"the cache's entry is damaged: {error}"}]
            damage = damage or f"the cache entry {path} is damaged ({error})"
        if not reasons:
            found.entry, found.reasons = entry, []
            break
        found.reasons = found.reasons or reasons
    if damage:
        then = "an older entry is used" if found.hit else "the step runs again"
        found.warnings += [f"{damage}; {then}"]


def remember(
    record: Record,
    store: Store,
    reads: dict[str, str],
    observed: Observed,
    outputs: dict[str, OutputEntry],
) -> None:
    """Enter what an attempt gave, after a miss.

    ``reads`` is :func:`context_reads` of it, ``observed`` what it read besides. ``outputs`` are
    its named ones as they are: in the record secrets are masked.
    """
    cache = record["cache"]
    if cache is None:
        raise ValueError("the attempt was not looked up")
    entry: CacheEntry = {
        "schema": SCHEMA,
        "key": cache["key"],
        "parts": cache["parts"],
        "created": time.time(),
        "reads": reads,
        "observed": observed,
        "returns": record["returns"],
        "outputs": outputs,
        "metrics": record["metrics"],
        "params": record["params"],
        "artifacts": record["artifacts"],
        "from": origin_of(record),
    }
    data = records.document(entry)
    name = f"{time.time_ns() // 1000:017d}-{_name_digest(data)}.json"
    store.write_once(f"{_folder(cache['key'])}/{name}", data)


def origin_of(record: Record) -> Origin:
    """Return which attempt a record is of."""
    return {
        "run_id": record["run_id"],
        "node": record["node"],
        "map_index": record["map_index"],
        "attempt": record["attempt"],
    }


def places_of(request: StepRequest) -> observations.Places:
    """Return the folders that names in a step's observations are relative to."""
    return observations.Places(request.project)


def known_variables(request: StepRequest) -> set[str]:
    """Name the variables that the key has, and secrets, which are references."""
    settings = request.settings
    return {*(settings.get("environment") or ()), *(settings.get("secrets") or ())}


def context_of(request: StepRequest) -> dict[str, Tree]:
    """Give the fields of the context that the step can read, its parameters as trees."""
    engine = request.engine
    return {
        "run_id": request.run_id,
        "pipeline": request.pipeline,
        "node": request.node,
        "map_index": request.map_index,
        "attempt": request.attempt,
        "parameters": request.parameters,
        "logical_date": engine.get("logical_date"),
        "data_interval_start": engine.get("data_interval_start"),
        "data_interval_end": engine.get("data_interval_end"),
        "project": request.project,
        "store": request.store,
    }


def context_reads(request: StepRequest, fields: list[str]) -> dict[str, str]:
    """Give the digests of the fields that were read, those left out that say where, not what."""
    given = context_of(request)
    kept = [name for name in fields if name not in ("project", "store")]
    return {name: digest_of(canonical(given[name])) for name in kept}


def explain(
    record: Record, store: Store, earlier_runs: Iterable[str] | None = None
) -> list[Reason]:
    """Say why the attempt of a record hit or missed the cache, most telling reason first.

    Each reason has ``part`` (code, environment, inputs, …) and ``text``; what changed since the
    nearest earlier run of the same node has ``before`` and ``after`` also. ``earlier_runs`` are the
    ids of the runs to look at, the nearest first; without it the store is asked which there are.
    """
    cache = record["cache"]
    if cache is None:
        raise ValueError("the cache was not asked")
    origin = cache["from"] if cache["hit"] else None
    if origin is not None:
        text = f"the same step gave this in run {origin['run_id']}"
        return [{"part": "cache", "text": text}]
    if cache.get("reasons"):
        return cache["reasons"]
    earlier = _nearest(record, store, earlier_runs)
    if earlier is None:
        return [NO_EARLIER_RUN]
    changes = _changes(earlier, record)
    if not changes and earlier["status"] != records.SUCCEEDED:
        return [{"part": "run", "text": f"the run before ({earlier['run_id']}) did not succeed"}]
    return changes or [{"part": "cache", "text": "the cache has no entry for it any more"}]


def _folder(key: str) -> str:
    return f"cache/{key}"


def _name_digest(data: bytes) -> str:
    """Return what an entry's name says of its content: any change but a forgery is noticed."""
    return digest_of(data)[7:15]


class _DamagedEntryError(Exception):
    """An entry of the cache is not as Levada wrote it; ``part`` is that of the reason."""

    def __init__(self, text: str, part: str = "entry") -> None:
        super().__init__(text)
        self.part = part


def _read(store: Store, path: str, key: str) -> CacheEntry:
    """Read an entry. Raises _DamagedEntryError, also for one under a key that is not its own."""
    try:
        data = store.read(path)
    except FileNotFoundError:
        raise _DamagedEntryError("it is no file") from None
    if not path.endswith(f"-{_name_digest(data)}.json"):
        raise _DamagedEntryError("it is not what was written")
    content = records.parse_document(data)
    if content is None or not document_schemas.fits(content, "cache"):
        raise _DamagedEntryError(f"it does not fit the schema {SCHEMA}")
    entry: CacheEntry = content  # type: ignore[assignment]  # it fits the schema
    if key_of(entry["parts"]) != key:
        raise _DamagedEntryError("its parts give another key")
    return entry


def _sorted(value: object) -> Json:
    found: Json = json.loads(json.dumps(value, sort_keys=True))
    return found


def _refusals(entry: CacheEntry, key: str, request: StepRequest, store: Store) -> list[Reason]:
    """Say why an entry cannot be used; nothing if it can. Raises _DamagedEntryError."""
    for name, digest in entry["reads"].items():
        if context_reads(request, [name]).get(name) != digest:
            text = f"the step reads {name} of its context, which is another one now"
            return [{"part": "context", "text": text}]
    held = [entry["returns"], *entry["artifacts"].values()]
    for artifact in map(Artifact.from_json, filter(None, held)):
        if not values.verify(artifact, store):
            raise _DamagedEntryError(f"{artifact.digest} is missing or not what it was", "blob")
    try:
        return _refused_by_settings(entry, request) or observations.changes(
            entry["observed"],
            places_of(request),
            store,
            key=key,
            environment=os.environ,
            known_variables=known_variables(request),
            class_digest=lambda name: input_classes.digest(name, request),
        )
    except StoreError:
        raise _DamagedEntryError("the list of what the step read is missing", "blob") from None
    except (ValueError, TypeError, OverflowError, OSError):  # names that no file can have
        raise _DamagedEntryError("it names files that cannot be") from None


def _refused_by_settings(entry: CacheEntry, request: StepRequest) -> list[Reason]:
    """Say why the settings of the step do not allow an entry to be used."""
    setting, observed = request.settings.get("cache"), entry["observed"]
    if isinstance(setting, (int, float)) and not isinstance(setting, bool):
        age = time.time() - entry["created"]
        if -_CLOCKS_DIFFER < age <= setting:
            return []
        text = f"the result is {_span(age)} old; the step's cache setting allows {_span(setting)}"
        return [{"part": "age", "text": text}]
    if setting is True:
        return []
    way_out = 'such a step runs again unless it says cache=True or an age, cache="6h"'
    reasons = [f"the step connected to {name}" for name in observed["connections"]]
    reasons += [f"not all that the step read is known: {text}" for text in observed["unseen"]]
    part = "connections" if observed["connections"] else "unseen"
    return [{"part": part, "text": f"{text}; {way_out}"} for text in reasons[:1]]


def _span(seconds: float) -> str:
    """Show a time by its largest unit: ``6 h``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _nearest(record: Record, store: Store, earlier_runs: Iterable[str] | None) -> Record | None:
    """Find the last record of the same node in an earlier run."""
    pipeline, node, map_index = record["pipeline"], record["node"], record["map_index"]
    if earlier_runs is None:
        earlier_runs = records.earlier_runs(store, pipeline, record["run_id"], MOST_RUNS)
    for run_id in earlier_runs:
        for attempt in reversed(records.attempts(store, pipeline, run_id, node, map_index)):
            path = records.attempt_path(pipeline, run_id, node, map_index, attempt)
            found: Record | None = records.read_record(store, path)
            if found is None or not found.get("cache"):
                continue
            if found["started"] <= record["started"]:
                return found
    return None


def _changes(before: Record, after: Record) -> list[Reason]:
    was, now = before["cache"], after["cache"]
    old, new = was["parts"] if was else {}, now["parts"] if now else {}
    changes: list[Reason] = []
    texts = {
        "step": "another function is called",
        "code": "the code of the step, of what it reaches, or one of its files changed",
        "variables": "the environment variables of the step changed",
        "outputs": "the names of its outputs changed",
    }
    for part, text in texts.items():
        if old.get(part) != new.get(part):
            changes.append(_change(part, text, old.get(part), new.get(part)))
    changes += _input_changes(old.get("inputs") or {}, new.get("inputs") or {})
    changes += _class_changes(old.get("classes") or {}, new.get("classes") or {})
    if old.get("environment") != new.get("environment"):
        changes += _environment_changes(before["environment"], after["environment"])
    return changes


def _input_changes(old: dict[str, str], new: dict[str, str]) -> list[Reason]:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [
        _change("inputs", f"input {name} changed", old.get(name), new.get(name)) | {"name": name}
        for name in names
    ]


def _class_changes(old: dict[str, str], new: dict[str, str]) -> list[Reason]:
    return [
        _change("classes", f"the class {name} of an input changed", old[name], new[name])
        | {"name": name}
        for name in new
        if name in old and old[name] != new[name]
    ]


def _environment_changes(old: EnvironmentPart, new: EnvironmentPart) -> list[Reason]:
    was, now = dict(old["packages"]), dict(new["packages"])
    was["Python"], now["Python"] = _minor(old["python"]), _minor(new["python"])
    names = [name for name in sorted({**was, **now}) if was.get(name) != now.get(name)]
    if not names:  # of a container step
        image = str(old["image"]), str(new["image"])
        return [_change("environment", f"the image changed: {image[0]} -> {image[1]}", *image)]
    return [
        _change(
            "environment",
            f"environment: {name} {was.get(name, 'not there')} -> {now.get(name, 'not there')}",
            was.get(name),
            now.get(name),
        )
        for name in names
    ]


def _change(part: str, text: str, before: object, after: object) -> Reason:
    return {"part": part, "text": text, "before": before, "after": after}


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
