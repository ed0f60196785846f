"""What an attempt observed, as the cache keeps it, and whether all of it is the same now.

The JSON form (of ``levada.cache/2`` and, without hashes of variables, of records)::

    {"files": {"data/train.csv": [2048, "<stamp>", "sha256:…"], "missing.yaml": null},
     "folders": {"data": "sha256:…"}, "patterns": {"* data/*/x.csv": "sha256:…"},
     "modules": {"plugins/csv.py": "sha256:…"}, "classes": {"shapes:Square": "sha256:…"},
     "variables": {"MODE": "3f2a…"}, "connections": ["db:5432"], "unseen": ["…"]}

Names are POSIX paths relative to the project, absolute for what is not below it. A file is
compared by its size, then by its stamp (times of change and inode: the same file), then by its
digest; one of more than 1 GiB by size and time of change alone, with null for a digest. Of many
files ``files`` is ``{"$blob": digest, "count": n}``.
"""

from __future__ import annotations

import json
import os
import stat

from levada.hashing import sha256
from levada.observe import ALL_VARIABLES, listing, variables_of
from levada.store import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from levada.cache_types import FileState, Observed, ObservedNames, Reason
    from levada.observe import Observer
    from levada.store import Store

#: The parts of the JSON form.
PARTS = (
    *("files", "folders", "patterns", "modules", "classes", "variables", "connections", "unseen"),
)
#: Bytes from which a file is not read to compare it.
HUGE = 1 << 30
_CHUNK = 1 << 20
#: More files than this are kept as a blob beside the entry.
_MANY = 500
_MOST_REASONS = 10
#: The digest of what a recursive pattern finds on the whole machine: never the same again.
_UNKNOWN = ""
#: How such a pattern begins, without its first slash.
_ENDLESS = ("*", "?", "[", "proc/", "sys/", "dev/")
#: Nanoseconds that a file has to be older than its digest before its stamp is believed.
_SETTLED = 2_000_000_000
_HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty")
#: Modules that connect to servers by code which Python does not see.
_CLIENTS = frozenset(
    (
        *("MySQLdb", "adbc_driver_flightsql", "adbc_driver_postgresql", "confluent_kafka"),
        *("connectorx", "cx_Oracle", "ibm_db", "oracledb", "psycopg", "psycopg2", "pymssql"),
        *("pyodbc", "turbodbc"),
    )
)


class Places:
    """The folders that names in observations are relative to, and may be in, absolute paths."""

    __slots__ = ("project", "temporary")

    def __init__(self, project: str) -> None:
        self.project = os.path.abspath(project)
        found = (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
        self.temporary = tuple(f"{folder.rstrip('/')}/" for folder in found if folder)

    def name(self, place: str) -> str:
        """Return the name of a path in observations."""
        place = os.path.normpath(place)
        if place == self.project:
            return "."
        return place.removeprefix(f"{self.project}/")

    def path(self, name: str) -> str:
        """Return the path of a name."""
        return os.path.normpath(os.path.join(self.project, name))

    def is_temporary(self, place: str) -> bool:
        """Whether a path is in a folder for temporary files, and not in the project."""
        return place.startswith(self.temporary) and not place.startswith(f"{self.project}/")


def describe(
    observer: Observer,
    places: Places,
    *,
    key: str,
    imports: Iterable[str],
    known_variables: Iterable[str],
    class_digest: Callable[[str], str],
) -> Observed:
    """Return the JSON form of what an observer has seen, by the state of now.

    ``key`` is the cache's, which the hashes of variables depend on; ``imports`` are the outside
    modules of the step's code; ``known_variables`` count otherwise and are left out;
    ``class_digest`` gives the digest of the code of a class by its name.
    """
    unseen = dict(observer.unseen)
    clients = sorted(_CLIENTS & {module.partition(".")[0] for module in imports})
    unseen |= {f"{name} may connect to a server without Python seeing it": None for name in clients}
    files = _files(observer, places, unseen)
    folders = {
        places.name(place): digest
        for place, digest in observer.folders.items()
        if not places.is_temporary(place + "/") or _is_older(place, observer.began)
    }
    names = {
        name
        for each in observer.variables
        for name in variables_of(each, observer.environment)
        if name not in known_variables
    }
    has_all: dict[str, str | None] = (
        {ALL_VARIABLES: ""} if ALL_VARIABLES in observer.variables else {}
    )
    return {
        "files": files,
        "folders": dict(sorted(folders.items())),
        "patterns": _patterns(observer, places),
        "modules": {places.name(place): _content(place) for place in sorted(observer.modules)},
        "classes": {name: class_digest(name) for name in sorted(observer.classes)},
        "variables": has_all
        | {name: _hash(key, name, observer.environment) for name in sorted(names)},
        "connections": sorted(observer.connections),
        "unseen": sorted(text.replace(f"{places.project}/", "") for text in unseen),
    }


def nothing() -> Observed:
    """Return the JSON form of an attempt that read nothing."""
    return {
        "files": {},
        "folders": {},
        "patterns": {},
        "modules": {},
        "classes": {},
        "variables": {},
        "connections": [],
        "unseen": [],
    }


def kept(observed: Observed, store: Store) -> Observed:
    """Return the form for the store: many files are a blob of their own."""
    files = observed["files"]
    if len(files) <= _MANY:
        return observed
    data = json.dumps(files, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return {**observed, "files": {"$blob": store.put_blob(data), "count": len(files)}}


def shown(observed: Observed) -> ObservedNames:
    """Return the form for a record: variables by their names only."""
    return {
        "files": observed["files"],
        "folders": observed["folders"],
        "patterns": observed["patterns"],
        "modules": observed["modules"],
        "classes": observed["classes"],
        "variables": list(observed["variables"]),
        "connections": observed["connections"],
        "unseen": observed["unseen"],
    }


def is_of_its_place(observed: Mapping[str, object]) -> bool:
    """Whether it can be compared only where the step runs: in its image, with its variables."""
    return any(observed.get(part) for part in PARTS[:-2])


def changes(
    observed: Observed,
    places: Places,
    store: Store,
    *,
    key: str,
    environment: Mapping[str, str],
    known_variables: Iterable[str],
    class_digest: Callable[[str], str],
) -> list[Reason]:
    """Say what is not as it was observed, at most ten of it; nothing if all of it is.

    The arguments are those of :func:`describe`. Raises StoreError.
    """
    found: list[Reason] = []
    for name, state in _stored_files(observed, store).items():
        if len(found) >= _MOST_REASONS:
            return found
        if text := _file_change(name, places.path(name), state):
            found.append({"part": "files", "text": text, "name": name})
    for name, digest in observed["folders"].items():
        if listing(places.path(name)) != digest:
            text = f"the folder {name} has other files than before"
            found.append({"part": "folders", "text": text, "name": name})
    for name, digest in observed["patterns"].items():
        if digest == _UNKNOWN or _matches(places, name) != digest:
            text = f"glob({name.partition(' ')[2]!r}) finds other files than before"
            found.append({"part": "patterns", "text": text, "name": name})
    for name, digest in observed["classes"].items():
        if class_digest(name) != digest:
            text = f"the class {name}, of which an input holds pickles, changed"
            found.append({"part": "classes", "text": text, "name": name})
    for name, digest in observed["modules"].items():
        if _content(places.path(name)) != digest:
            text = f"the module {name}, which the step imports by name, changed"
            found.append({"part": "modules", "text": text, "name": name})
    found += _variable_changes(observed["variables"], key, environment, known_variables)
    return found[:_MOST_REASONS]


def _variable_changes(
    before: dict[str, str | None],
    key: str,
    environment: Mapping[str, str],
    known: Iterable[str],
) -> list[Reason]:
    names = {name for name in before if name != ALL_VARIABLES}
    if ALL_VARIABLES in before:
        names |= {n for n in variables_of(ALL_VARIABLES, dict(environment)) if n not in known}
    return [
        {"part": "variables", "text": f"the environment variable {name} changed", "name": name}
        for name in sorted(names)
        if _hash(key, name, environment) != before.get(name)
    ]


def named_files(texts: Iterable[str], began: int) -> list[str]:
    """Return the files that some texts name, but for those that changed since ``began``.

    Code outside of Python opens files unseen; their names are mostly texts of the step.
    """
    found = []
    for text in texts:
        if not 0 < len(text) < 4096 or "\0" in text or "\n" in text:
            continue
        place = os.path.abspath(text)
        if os.path.isfile(place) and _is_older(place, began):
            found.append(place)
    return found


def changed_modules(observer: Observer, since: int) -> list[str]:
    """Return the paths of imported modules of the project that changed after a time."""
    import sys

    files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    return sorted(
        file
        for file in files
        if file.startswith(observer.roots)
        and not observer.is_ignored(file)
        and not _is_older(file, since)
    )


def of_project(observer: Observer, places: Places) -> list[str]:
    """Return the names of the files of the project that were opened and are there, sorted."""
    opened = {os.path.normpath(place) for place in observer.files if place not in observer.written}
    own = [place for place in opened if place.startswith(f"{places.project}/")]
    return sorted(
        places.name(place)
        for place in own
        if not observer.is_ignored(place) and os.path.isfile(place)
    )


def _patterns(observer: Observer, places: Places) -> dict[str, str]:
    found = {}
    for text in sorted(observer.patterns):
        kind, _, place = text.partition(" ")
        if not places.is_temporary(place):
            name = f"{kind} {places.name(place)}"
            found[name] = _matches(places, name)
    return found


def _matches(places: Places, name: str) -> str:
    """Return the digest of the names that a pattern matches now."""
    import glob

    kind, _, pattern = name.partition(" ")
    path = places.path(pattern)
    is_recursive = kind == "**"
    if is_recursive and path.lstrip("/").startswith(_ENDLESS):
        return _UNKNOWN
    found = glob.glob(path, recursive=is_recursive)
    names = sorted(places.name(place) for place in found)
    return digest_of("\0".join(names).encode("utf-8", "surrogateescape"))


def _files(observer: Observer, places: Places, unseen: dict[str, None]) -> dict[str, FileState]:
    states: dict[str, FileState] = {}
    extended = {os.path.normpath(place) for place in observer.extended}
    written = {os.path.normpath(place) for place in observer.written} - extended
    for place in sorted({os.path.normpath(place) for place in observer.files}):
        if place in written or place in observer.modules or observer.is_ignored(place):
            continue
        try:
            found = os.stat(place)
        except (OSError, ValueError):
            if not places.is_temporary(place):
                states[places.name(place)] = None
            continue
        if stat.S_ISDIR(found.st_mode):
            continue
        if not stat.S_ISREG(found.st_mode):
            if place not in _HARMLESS_DEVICES:
                unseen[f"{place} is not a file, and what was read from it is gone"] = None
        elif place in extended:
            unseen[f"{place} was written, and read besides"] = None
        elif found.st_ctime_ns >= observer.began:
            if not places.is_temporary(place):
                unseen[f"{place} changed while the step ran"] = None
        else:
            states[places.name(place)] = _state(place, found)
    return states


def _state(place: str, found: os.stat_result) -> FileState:
    """Return what a file is compared by; None if it is gone by now."""
    if found.st_size > HUGE:
        return found.st_size, str(found.st_mtime_ns), None
    digest = _content(place)
    if digest is None:
        return None
    return found.st_size, _stamp(found), digest


def _stamp(found: os.stat_result) -> str:
    """Identify an unchanged file; empty for one that changed so lately that it may change again.

    A file system may not tell two changes within a tick of its clock apart, as git's index knows
    (``Documentation/technical/racy-git.txt``).
    """
    import time

    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _SETTLED:
        return ""
    return f"{found.st_mtime_ns}.{found.st_ctime_ns}.{found.st_ino}"


def is_same_file(place: str, before: FileState) -> bool:
    """Whether a file is as an observation says. False too if the state has another shape."""
    try:
        return not _file_change(place, place, before)
    except (TypeError, ValueError):  # somebody changed the record
        return False


def _file_change(name: str, place: str, before: FileState) -> str:
    """Return a sentence if the file is not as it was."""
    try:
        found = os.stat(place)
    except (OSError, ValueError):
        return "" if before is None else f"the file {name} is not there any more"
    if before is None:
        return f"the file {name} is there now"
    size, stamp, digest = before
    if digest is None:
        same = (found.st_size, str(found.st_mtime_ns)) == (size, stamp)
    else:
        same = found.st_size == size and (
            (stamp and _stamp(found) == stamp) or _content(place) == digest
        )
    return "" if same else f"the file {name} changed"


def _content(place: str) -> str | None:
    """Return the digest of a file; None if it cannot be read, as one that is gone by now."""
    try:
        with open(place, "rb", buffering=0) as file:
            chunk = file.read(_CHUNK)
            digest = sha256(chunk, _CHUNK if len(chunk) == _CHUNK else None)
            while len(chunk) == _CHUNK:
                chunk = file.read(_CHUNK)
                digest.update(chunk)
    except OSError:
        return None
    return f"sha256:{digest.hexdigest()}"


def _is_older(place: str, began: int) -> bool:
    try:
        found = os.stat(place)
    except OSError:
        return False
    return found.st_ctime_ns < began


def _stored_files(observed: Observed, store: Store) -> dict[str, FileState]:
    files: Any = observed["files"]  # in either form
    blob = files.get("$blob")
    # A file of the project may have that name as well; its state is no text.
    found: dict[str, FileState] = (
        json.loads(store.read_blob(blob)) if isinstance(blob, str) else files
    )
    return found


def _hash(key: str, name: str, environment: Mapping[str, str]) -> str | None:
    """Return a hash of a variable's value that says nothing about it without the cache's key."""
    value = environment.get(name)
    if value is None:
        return None
    text = "\0".join((key, name, value)).encode("utf-8", "surrogateescape")
    return digest_of(text).removeprefix("sha256:")[:32]
