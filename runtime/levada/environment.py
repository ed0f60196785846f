"""What a step runs in: the Python, the platform and the installed distributions.

Distributions are read from the names of ``*.dist-info`` folders and from their METADATA and
RECORD files (PyPA's "Recording installed projects"); importlib.metadata would take 40 ms to import.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from levada.store import digest_of
from levada.trees.canonical import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_ENDINGS = (".dist-info", ".egg-info")


class Distribution:
    """An installed distribution: its normalised name, its version and its metadata folder."""

    __slots__ = ("folder", "name", "version")

    def __init__(self, name: str, version: str, folder: str) -> None:
        self.name = name
        self.version = version
        self.folder = folder

    def requires(self) -> list[str]:
        """Give the normalised names that it requires, those of its extras left out."""
        head = _read(f"{self.folder}/METADATA").partition("\n\n")[0]
        lines = (line for line in head.splitlines() if line.startswith("Requires-Dist:"))
        plain = (line for line in lines if "extra ==" not in line and "extra==" not in line)
        return [requirement_name(line.removeprefix("Requires-Dist:")) for line in plain]

    def provides(self, path: str) -> bool:
        """Whether it installed the module or package at a path such as ``google/cloud``."""
        record = "\n" + _read(f"{self.folder}/RECORD")
        return any(f"\n{path}{end}" in record for end in ("/", ".py", ".cpython", ".abi3"))


def describe(imports: Iterable[str], requirements: Iterable[str]) -> dict[str, Any]:
    """Give the environment part of a record for a step with these imports and requirements.

    ``digest`` covers the minor version of Python and, by name, the versions of the distributions
    that the imports resolve to, of the required ones, and of what these require in turn. It is the
    same wherever the same versions are installed.
    """
    return dict(_described(tuple(sorted(imports)), tuple(sorted(requirements)), tuple(sys.path)))


@lru_cache(maxsize=256)
def _described(
    imports: tuple[str, ...], requirements: tuple[str, ...], path: tuple[str, ...]
) -> dict[str, Any]:
    packages = _versions(imports, requirements, path)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = digest_of(canonical({"python": python, "packages": packages}))
    return {
        "digest": digest,
        "python": sys.version.split()[0],
        "implementation": sys.implementation.name,
        "platform": platform(),
        "packages": packages,
        "image": os.environ.get("LEVADA_IMAGE") or None,
    }


def platform() -> str:
    """Name the operating system and the machine, ``linux-x86_64`` say."""
    system = os.uname()
    return f"{system.sysname.lower()}-{system.machine}"


def whole() -> dict[str, Any]:
    """Give the environment part of a run: the Python, and all that is installed."""
    return {
        "python": sys.version.split()[0],
        "platform": sys.platform,
        "packages": installed_versions(),
    }


def installed_versions() -> dict[str, str]:
    """Give every installed distribution's version by its normalised name, sorted."""
    found = installed(tuple(sys.path))
    return {name: found[name].version for name in sorted(found)}


@lru_cache(maxsize=8)
def installed(path: tuple[str, ...]) -> dict[str, Distribution]:
    """Find the distributions on a ``sys.path``; the first of a name counts, as on import."""
    found: dict[str, Distribution] = {}
    for folder in path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            continue
        for entry in names:
            if entry.endswith(_ENDINGS):
                name, version = _split(entry)
                distribution = Distribution(name, version, f"{folder or '.'}/{entry}")
                found.setdefault(name, distribution)
    return found


def requirement_name(requirement: str) -> str:
    """Give the normalised name in a requirement such as ``Scikit_Learn[extra]>=1.4; …``."""
    name = ""
    for character in requirement.strip():
        if not (character.isalnum() or character in "-_."):
            break
        name += character
    return normalised(name)


def normalised(name: str) -> str:
    """Give a distribution's name as PyPI compares it."""
    words = name.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(word for word in words if word)


def _versions(
    imports: tuple[str, ...], requirements: tuple[str, ...], path: tuple[str, ...]
) -> dict[str, str | None]:
    known = installed(path)
    names = {name for module in imports for name in _owners(module, known, path)}
    waiting = sorted(names | {requirement_name(text) for text in requirements})
    found: dict[str, str | None] = {}
    for name in waiting:  # grows while it is gone over
        if name in found or name == "levada":
            continue
        found[name] = known[name].version if name in known else None
        if name in known:
            waiting += [needed for needed in known[name].requires() if needed in known]
    return {name: found[name] for name in sorted(found)}


def _owners(module: str, known: dict[str, Distribution], path: tuple[str, ...]) -> list[str]:
    """Name the distributions that a module comes from; its own name where none is known."""
    top, _, rest = module.partition(".")
    if top in sys.stdlib_module_names:
        return []
    if normalised(top) in known and not _is_namespace(top, path):
        return [normalised(top)]
    owners = [name for name, d in known.items() if d.provides(top)]
    if len(owners) > 1 and rest:
        owners = _narrowed(module, owners, known)
    return owners or [normalised(top)]


def _narrowed(module: str, owners: list[str], known: dict[str, Distribution]) -> list[str]:
    parts = module.split(".")
    for length in range(2, len(parts) + 1):
        closer = [name for name in owners if known[name].provides("/".join(parts[:length]))]
        owners = closer or owners
    return owners


def _is_namespace(top: str, path: tuple[str, ...]) -> bool:
    """Whether the package has no ``__init__.py``: then several distributions may share it."""
    folders = [f"{folder}/{top}" for folder in path if os.path.isdir(f"{folder}/{top}")]
    return bool(folders) and not any(os.path.exists(f"{f}/__init__.py") for f in folders)


def _split(entry: str) -> tuple[str, str]:
    stem = entry.rpartition(".")[0]
    name, _, version = stem.partition("-")
    return normalised(name), version.partition("-")[0]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
