"""What a step runs in: the Python, the platform and the installed distributions."""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from levada.distributions import installed, normalised, requirement_name
from levada.store import digest_of
from levada.trees.canonical import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from levada.distributions import Distribution
    from levada.record_types import EnvironmentPart, RunEnvironment


def describe(imports: Iterable[str], requirements: Iterable[str]) -> EnvironmentPart:
    """Give the environment part of a record for a step with these imports and requirements.

    ``digest`` covers the minor version of Python and, by name, the versions of the distributions
    that the imports resolve to, of the required ones, and of what these require in turn. It is the
    same wherever the same versions are installed. A distribution from a repository counts with its
    commit, one from a folder or a file with the digests of its files (``1.0+3f2a…``).
    """
    return _described(tuple(sorted(imports)), tuple(sorted(requirements)), tuple(sys.path)).copy()


@lru_cache(maxsize=256)
def _described(
    imports: tuple[str, ...], requirements: tuple[str, ...], path: tuple[str, ...]
) -> EnvironmentPart:
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


def user_name() -> str | None:
    """Return who runs this, as `getpass.getuser` says; None for a user without a name."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # no such user on this machine, as in some containers
        return None


def whole() -> RunEnvironment:
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
        found[name] = _version(known[name]) if name in known else None
        if name in known:
            waiting += [needed for needed in known[name].requires() if needed in known]
    return {name: found[name] for name in sorted(found)}


def _version(distribution: Distribution) -> str:
    """Return the version, with a commit or a digest if it does not come from an index."""
    mark = distribution.commit[:12] or distribution.files_digest[:12]
    return f"{distribution.version}+{mark}" if mark else distribution.version


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
