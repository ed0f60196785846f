"""``[tool.levada.images]`` of a project: what its images start from and are called."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from levada_compiler.slotted import dataclass, replace

from .image import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from levada.project import Project

    from .lock import LockedImage

#: The platforms that images can be planned for, with uv's name of each. Wheels for glibc 2.28 run
#: on Debian 10, Ubuntu 20.04, RHEL 8 and whatever is newer.
PLATFORMS = {
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}
_MACHINES = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64"}


_LISTS = frozenset(("groups", "extras", "apt"))


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """The settings of a project's images; each field is a key of the table.

    ``requirements`` is a file (relative to the project), ``groups`` and ``extras`` are those of
    pyproject.toml to lock beside its dependencies. ``apt`` names Debian packages of every image.
    ``network`` is that of the commands which the Docker builder runs (``host``), by default the
    engine's own.
    """

    base: str = ""
    python: str = ""
    platform: str = ""
    registry: str = ""
    prefix: str = ""
    network: str = ""
    requirements: str = ""
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()


def read(project: Project, platform: str = "", locked: Iterable[LockedImage] = ()) -> ImageSettings:
    """Read the table of a project; ``platform`` comes before the one there.

    What neither says is as it was for the images that are ``locked``, so that it does not depend
    on who compiles where; for the first ones it is this Python and this machine's platform.

    Raises ImageError for a key or a value that is not known.
    """
    table = project.settings.get("images", {})
    if not isinstance(table, dict):
        raise ImageError("`[tool.levada.images]` in pyproject.toml has to be a table")
    known = ImageSettings.__match_args__
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise ImageError(
                f"`[tool.levada.images]` has no setting `{key}`",
                f"did you mean `{near[0]}`?" if near else f"it has: {', '.join(known)}",
            )
        values[key] = _checked(key, value, is_list=key in _LISTS)
    if platform:
        values["platform"] = platform
    inputs = [image.inputs for image in locked]
    for name in ("platform", "python"):
        before = {getattr(each, name) for each in inputs}
        if name not in values and len(before) == 1:
            values[name] = before.pop()
    return _completed(ImageSettings(**values))


def _checked(key: str, value: object, *, is_list: bool) -> object:
    if is_list and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if not is_list and isinstance(value, str):
        return value
    expected = "a list of strings" if is_list else "a string"
    raise ImageError(f"`{key}` in `[tool.levada.images]` has to be {expected}")


def _completed(settings: ImageSettings) -> ImageSettings:
    python = settings.python or f"{sys.version_info.major}.{sys.version_info.minor}"
    platform = settings.platform or own_platform()
    if platform not in PLATFORMS:
        raise ImageError(
            f"there are no images for the platform `{platform}`",
            f"there are: {', '.join(PLATFORMS)}",
        )
    parts = python.split(".")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ImageError(f'`python = "{python}"` is not a minor version such as `3.11`')
    base = settings.base or f"docker.io/library/python:{python}-slim"
    return replace(settings, python=python, platform=platform, base=base)


def own_platform() -> str:
    """The platform of this machine, as far as there are images for it."""
    import platform

    return _MACHINES.get(platform.machine().lower(), "linux/amd64")
