"""What many files were compiled to last time, and which of them would give the same now.

One file holds the results of one command in one folder: an entry for each source file, and a table
of everything that any of them was told from, so that each is looked at once. What belongs to an
entry is the same as in :mod:`.compile_cache`. A file that changed makes its own entry stale, and
those that import it; a new module in a folder where modules are looked for, all of them.
"""

from __future__ import annotations

import os

from levada.regular_files import regular

from . import compile_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: What was looked at: a kind (`file`, `names`, `there`, `glob`) and a path.
    Look = tuple[str, str]

_MAGIC = b"levada batch cache 2\n"


class Inputs:
    """What a result was told from.

    ``files`` maps absolute paths to digests, ``search`` are the folders of modules, ``patterns``
    the globs of data files below ``root``, ``consulted`` what decided what imports mean.
    """

    __slots__ = ("consulted", "files", "patterns", "root", "search")

    def __init__(
        self,
        files: dict[str, str],
        root: str,
        search: tuple[str, ...],
        patterns: tuple[str, ...],
        consulted: tuple[str, ...],
    ) -> None:
        self.files = files
        self.root = root
        self.search = search
        self.patterns = patterns
        self.consulted = consulted

    def as_tuple(self) -> tuple[object, ...]:
        """The arguments that make it again."""
        return self.files, self.root, self.search, self.patterns, self.consulted


class Cache:
    """The results of one command, by the names of its source files."""

    def __init__(self, key: list[str]) -> None:
        """Read what there is. What cannot be read, or is of another Levada, is nothing."""
        self._place = compile_cache.place(["batch", *key])
        self._fingerprint = compile_cache.fingerprint()
        self._now: dict[Look, str] = {}
        self._table: list[tuple[Look, str]] = []
        self._entries: dict[str, tuple[Any, list[int]]] = {}
        self._numbers: dict[tuple[Look, str], int] = {}
        self._read()

    def get(self, name: str) -> Any:
        """The result of a file if nothing changed since, else None."""
        result, numbers = self._entries.get(name, (None, ()))
        return result if all(map(self._is_same, numbers)) else None

    def put(self, name: str, result: Any, inputs: Inputs) -> None:
        """Keep the result of a file."""
        looks = [(("file", path), self._plain(d)) for path, d in inputs.files.items()]
        looks += [(look, self._digest(look)) for look in _looks(inputs)]
        self._entries[name] = (result, [self._number(look) for look in looks])

    def write(self) -> None:
        """Write the entries that are not stale. A cache that cannot be written is no error."""
        if self._place is None:
            return
        kept = {name: entry for name, entry in self._entries.items() if self.get(name) is not None}
        used = sorted({number for _, numbers in kept.values() for number in numbers})
        places = {number: place for place, number in enumerate(used)}
        entries = {n: (r, [places[number] for number in ns]) for n, (r, ns) in kept.items()}
        table = [self._table[number] for number in used]
        compile_cache.write(self._place, _MAGIC, (self._fingerprint, table, entries))

    def _read(self) -> None:
        found = None if self._place is None else compile_cache.read(self._place, _MAGIC)
        if found is None:
            return
        fingerprint, table, entries = found
        if fingerprint == self._fingerprint:
            self._table, self._entries = table, entries
            self._numbers = {look: number for number, look in enumerate(table)}

    def _number(self, look: tuple[Look, str]) -> int:
        if look not in self._numbers:
            self._numbers[look] = len(self._table)
            self._table.append(look)
        return self._numbers[look]

    def _is_same(self, number: int) -> bool:
        look, digest = self._table[number]
        return self._digest(look) == digest

    def _digest(self, look: Look) -> str:
        if look not in self._now:
            self._now[look] = _seen(*look)
        return self._now[look]

    @staticmethod
    def _plain(digest: str) -> str:
        return digest.rpartition(":")[2]


def _looks(inputs: Inputs) -> list[Look]:
    """What counts beside the files that were read."""
    settings = os.path.join(inputs.root, "pyproject.toml")
    looks: list[Look] = [("file", settings)]
    folders = {*inputs.search, *map(os.path.dirname, inputs.files)}
    for path in inputs.consulted:
        looks.append(("there", path))  # an empty folder looks like none, and like a file
        if os.path.isdir(path):
            folders.add(path)
        elif path not in inputs.files:
            looks.append(("file", path))
    looks += [("names", folder) for folder in folders]
    for pattern in inputs.patterns:
        looks.append(("glob", f"{inputs.root}\0{pattern}"))
    starts = [os.path.dirname(path) for path in inputs.files]
    looks += [("there", path) for path in compile_cache.absent_marks(inputs.root, starts)]
    return looks


def _seen(kind: str, path: str) -> str:
    """What there is now, in one word."""
    if kind == "file":
        return _file(path)
    if kind == "names":
        return compile_cache.digest_of_names(compile_cache.module_names(path))
    if kind == "there":
        return str(os.path.exists(path))
    from levada import data_files

    root, _, pattern = path.partition("\0")
    names = data_files.find(root, pattern)
    return compile_cache.digest_of_names(
        [f"{name} {_file(os.path.join(root, name))}" for name in names]
    )


def _file(path: str) -> str:
    """The digest of a file; empty where there is none."""
    try:
        with open(path, "rb", opener=regular) as file:
            return compile_cache.sha256(file.read())
    except (OSError, ValueError):
        return ""
