"""Finding targets: by entry points, reading no more than names until one is asked for.

``importlib.metadata`` takes longer to import than a small pipeline takes to compile. So the
``entry_points.txt`` files beside the installed packages are read directly, and the import system
is asked only about a name that is in none of them (zipped packages, other finders).
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib import import_module

from levada.regular_files import regular

from .usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .target import Target

GROUP = "levada.targets"
#: Targets of this package come with the compiler and change with it.
OWN_PACKAGE = "levada_backends"


class TargetError(UsageError):
    """A target that does not exist or cannot be loaded; the text is for the user."""


def load(name: str) -> Target:
    """The target of this name.

    Raises:
        TargetError: there is none, or its module cannot be imported.
    """
    references = available()
    if name not in references:
        references = available(thorough=True)
    if name not in references:
        raise TargetError(_unknown(name, references))
    return _import(name, references[name])


def available(*, thorough: bool = False) -> dict[str, str]:
    """``module:attribute`` by name, sorted; ``thorough`` also asks ``importlib.metadata``."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for name, reference in _of_folder(folder or ".", _changed(folder or ".")).items():
            found.setdefault(name, reference)
    if thorough:
        from importlib.metadata import entry_points

        for point in entry_points(group=GROUP):
            found.setdefault(point.name, point.value)
    return dict(sorted(found.items()))


def is_own(target: Target) -> bool:
    """Whether the target comes with the compiler."""
    return type(target).__module__.startswith(OWN_PACKAGE + ".")


def rule_folders() -> list[Path]:
    """The folders with the targets' own rule pages, found without importing a target.

    It is ``rules`` in the package that the entry point names, or beside its module.
    """
    from importlib.util import find_spec
    from pathlib import Path

    folders = []
    for reference in available(thorough=True).values():
        package, *rest = reference.split(":")[0].strip().split(".")
        spec = find_spec(package)
        places = (spec.submodule_search_locations if spec else None) or []
        for place in places:
            folders.append(Path(place, *rest, "rules"))
            folders += [Path(place, *rest[:-1], "rules")] if rest else []
    return list(dict.fromkeys(folders))


def _unknown(name: str, references: Mapping[str, str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, references, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(references) or 'none'}"
    return f"there is no target `{name}`; {hint}"


def _import(name: str, reference: str) -> Target:
    module, _, attribute = reference.partition(":")
    try:
        target: Target = getattr(import_module(module.strip()), attribute.strip() or "TARGET")
    except Exception as error:
        why = f"{error}" if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise TargetError(f"the target `{name}` cannot be loaded ({reference}): {why}") from error
    if module.strip().partition(".")[0] == OWN_PACKAGE:
        return target
    from .foreign_target import ForeignTarget

    return ForeignTarget(name, reference, target)


def _changed(folder: str) -> int:
    """When a distribution was last installed in a folder, or removed; 0 if it is not there."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _of_folder(folder: str, changed: int) -> dict[str, str]:  # noqa: ARG001  a part of the key
    """Targets of the distributions in a folder; a command that checks many files reads it once."""
    found: dict[str, str] = {}
    for text in _entry_points(folder):
        for name, reference in _section(text).items():
            found.setdefault(name, reference)
    return found


def _entry_points(folder: str) -> Iterator[str]:
    """The text of every ``entry_points.txt`` of the distributions in a folder of ``sys.path``."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in sorted(names):
        if name.endswith((".dist-info", ".egg-info")):
            path = os.path.join(folder, name, "entry_points.txt")
            try:
                with open(path, encoding="utf-8", opener=regular) as file:
                    yield file.read()
            except (OSError, UnicodeDecodeError):
                continue


def _section(text: str) -> dict[str, str]:
    """The entries of our group in an ``entry_points.txt``.

    Format: https://packaging.python.org/specifications/entry-points/
    """
    if GROUP not in text:
        return {}
    found: dict[str, str] = {}
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, reference = line.partition("=")
            found[name.strip()] = reference.partition("[")[0].strip()
    return found
