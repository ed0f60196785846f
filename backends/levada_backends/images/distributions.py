"""Which locked distribution an import comes from, and what it requires in turn.

Told from the files in the locked wheels (of a source distribution, from the files in its archive),
never from names: ``import cv2`` is whichever locked wheel has ``cv2/__init__.py`` in it. Packages
without ``__init__.py`` may be shared by several distributions, so the longest dotted name that a
wheel has a file for decides.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from levada.distributions import normalised, requirement_name
from levada_compiler.slotted import dataclass

from . import places
from .layers import LayerCache

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement

    from .image import Wheel

_FORMAT = 1
_DECLARED = re.compile(
    r"\s*([A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?)\s*(?:\[([^\]]*)\])?\s*(?:[<>=!~;@(].*)?$", re.I | re.S
)
_SUFFIXES = re.compile(r"(\.py|(\.[\w-]+)?\.so)$")
_IN_SDIST = frozenset(("tests", "test", "docs", "doc", "examples", "benchmarks", "setup"))


@dataclass(frozen=True, slots=True)
class Contents:
    """What a distribution brings: its modules (dotted), and what it requires, as text."""

    modules: frozenset[str]
    requires: tuple[str, ...]

    def has(self, module: str) -> bool:
        """Whether it has a file for this module or regular package."""
        return module in self.modules

    def has_below(self, module: str) -> bool:
        """Whether it has a module below this package."""
        return any(name.startswith(module + ".") for name in self.modules)


def contents(wheel: Wheel) -> Contents:
    """Read what is in a locked file, from the cache where it was read before.

    Raises ImageError if it cannot be had, or is not the archive that its name says.
    """
    notes = LayerCache(places.cache_folder("layers"))
    name = f"contents/{_FORMAT}-{wheel.sha256}"
    if (data := notes.recall(name)) is not None:
        known = json.loads(data)
        return Contents(frozenset(known["modules"]), tuple(known["requires"]))
    from .archives import read_archive

    names, metadata = read_archive(wheel)
    found = (
        _of_wheel(names, metadata)
        if wheel.filename.endswith(".whl")
        else _of_sdist(names, metadata)
    )
    document = {"modules": sorted(found.modules), "requires": list(found.requires)}
    notes.remember(name, json.dumps(document).encode())
    return found


def declared_name(requirement: str) -> tuple[str, set[str]] | None:
    """Give the name and the extras of a requirement; None for a path or a URL of its own.

    Source: PEP 508. The library that has all of it takes 50 ms to import.
    """
    found = _DECLARED.match(requirement)
    if found is None:
        return None
    return normalised(found[1]), {normalised(word) for word in (found[2] or "").split(",") if word}


def _of_wheel(names: list[str], metadata: str) -> Contents:
    return Contents(frozenset(_modules(map(_installed, names))), _requires(metadata))


def _installed(name: str) -> str:
    """Give the path below site-packages: that of ``x.data/purelib/a.py`` is ``a.py``."""
    return re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)


def _modules(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        found = _SUFFIXES.search(name)
        if not found:
            continue
        parts = PurePosixPath(name[: found.start()]).parts
        if parts and parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and all(part.isidentifier() for part in parts):
            yield ".".join(parts)


def _requires(metadata: str) -> tuple[str, ...]:
    from email.parser import HeaderParser

    message = HeaderParser().parsestr(metadata)
    return tuple(str(text) for text in message.get_all("Requires-Dist") or ())


def _of_sdist(names: list[str], metadata: str) -> Contents:
    below = [name.partition("/")[2].removeprefix("src/") for name in names]
    modules = {name for name in _modules(below) if name.partition(".")[0] not in _IN_SDIST}
    return Contents(frozenset(modules), _requires(metadata))


class Locked:
    """The locked distributions of a platform, by name, and the questions about them.

    ``declared`` are the requirements of the project and its steps: their extras count.
    """

    def __init__(
        self,
        packages: Sequence[Wheel],
        declared: Iterable[str],
        environments: Sequence[Mapping[str, str]],
    ) -> None:
        """Know the packages; their contents are read when they are asked for."""
        self.packages = {wheel.name: wheel for wheel in packages}
        self._environments = environments
        self._contents: dict[str, Contents] = {}
        self._parsed: dict[str, list[tuple[str, Requirement]]] = {}
        self._by_top: dict[str, list[str]] | None = None
        self.declared: dict[str, set[str]] = {}
        for text in declared:
            if (named := declared_name(text)) is not None:
                self.declared.setdefault(named[0], set()).update(named[1])

    def read(self) -> None:
        """Read the contents of all packages at once; what is cached costs nothing."""
        from .threads import in_threads

        missing = [name for name in self.packages if name not in self._contents]
        found = in_threads(lambda name: contents(self.packages[name]), missing, 8)
        self._contents.update(zip(missing, found, strict=True))

    def contents(self, name: str) -> Contents:
        """The contents of a locked package."""
        if name not in self._contents:
            self._contents[name] = contents(self.packages[name])
        return self._contents[name]

    def providers(self, module: str, name: str | None = None) -> tuple[str, ...]:
        """The packages that ``import module`` (or ``from module import name``) needs, sorted.

        Empty if none has it. Where several have the same module, those that are declared.
        """
        dotted = f"{module}.{name}" if name and name != "*" else module
        parts = dotted.split(".")
        near = self._tops().get(parts[0], [])
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            owners = [each for each in near if self.contents(each).has(prefix)]
            if owners:
                chosen = [each for each in owners if each in self.declared] or owners
                return tuple(sorted(chosen))
        # A package without a file of its own: all that have modules in it.
        return tuple(sorted(each for each in near if self.contents(each).has_below(dotted)))

    def _tops(self) -> dict[str, list[str]]:
        """The packages by the first part of their modules' names."""
        if self._by_top is None:
            self.read()
            self._by_top = {}
            for name in sorted(self.packages):
                for top in {each.partition(".")[0] for each in self._contents[name].modules}:
                    self._by_top.setdefault(top, []).append(name)
        return self._by_top

    def top_modules(self) -> Iterable[str]:
        """The first parts of all modules that the packages have."""
        return self._tops()

    def modules_of(self, name: str) -> list[str]:
        """What of a package can be imported first: its top-level modules, sorted."""
        return sorted({each.partition(".")[0] for each in self.contents(name).modules})

    def requires(self, name: str, extras: Iterable[str] = ()) -> dict[str, set[str]]:
        """What a package requires on this platform, each with the extras wanted of it.

        Only what is locked: uv leaves out what no marker asks for.
        """
        wanted: dict[str, set[str]] = {}
        for other, requirement in self._requirements(name):
            if self._applies(requirement.marker, extras):
                wanted.setdefault(other, set()).update(requirement.extras)
        return wanted

    def _requirements(self, name: str) -> list[tuple[str, Requirement]]:
        """What a package requires of what is locked, parsed once."""
        from packaging.requirements import InvalidRequirement, Requirement

        if name not in self._parsed:
            self._parsed[name] = found = []
            for text in self.contents(name).requires:
                other = requirement_name(text)
                if other in self.packages:
                    with suppress(InvalidRequirement):  # old metadata may have any text
                        found.append((other, Requirement(text)))
        return self._parsed[name]

    def _applies(self, marker: object, extras: Iterable[str]) -> bool:
        from packaging.markers import Marker

        if not isinstance(marker, Marker):
            return True
        return any(
            marker.evaluate({**environment, "extra": extra})
            for environment in self._environments
            for extra in ("", *extras)
        )

    def closure(self, names: Mapping[str, Iterable[str]]) -> dict[str, str]:
        """All that these packages (with extras) need: each with the one that requires it.

        The first ones have themselves. Breadth first, so that the chain back is a shortest one.
        """
        wanted = {name: sorted(extras) for name, extras in names.items()}
        notes = LayerCache(places.cache_folder("layers"))
        key = f"closures/{self._key(wanted)}"
        if (data := notes.recall(key)) is not None:
            known: dict[str, str] = json.loads(data)
            return known
        found = self._closure(names)
        notes.remember(key, json.dumps(found).encode())
        return found

    def _key(self, wanted: Mapping[str, Sequence[str]]) -> str:
        """The digest of all that a closure depends on."""
        packages = sorted((wheel.name, wheel.sha256) for wheel in self.packages.values())
        declared = {name: sorted(extras) for name, extras in self.declared.items()}
        everything = [_FORMAT, packages, declared, [dict(e) for e in self._environments], wanted]
        return sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()

    def _closure(self, names: Mapping[str, Iterable[str]]) -> dict[str, str]:
        parents = {name: name for name in names}
        extras = {name: set(each) | self.declared.get(name, set()) for name, each in names.items()}
        pending = list(names)
        while pending:
            name = pending.pop(0)
            for other, wanted in sorted(self.requires(name, sorted(extras[name])).items()):
                known = extras.get(other)
                if known is None:
                    parents[other] = name
                    extras[other] = wanted | self.declared.get(other, set())
                elif wanted <= known:
                    continue
                else:
                    known |= wanted
                pending.append(other)
        return parents
