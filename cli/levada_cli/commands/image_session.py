"""From the commands to the images: loaded late, with errors in words."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from levada_compiler.output_files import OutputError
from levada_compiler.render.colours import palette

if TYPE_CHECKING:
    from collections.abc import Callable

#: What `pip install --no-deps` leaves out.
_PACKAGES = frozenset(("cyclonedx", "docker", "jinja2", "packaging", "packageurl"))


def load(module: str = "session") -> Any:
    """A module of ``levada_backends.images``, which the compiler does not import otherwise.

    Raises OutputError if a package that Levada requires is not installed.
    """
    try:
        return import_module(f"levada_backends.images.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise OutputError(
            f"images need the package `{error.name}`, which is not installed: pip install levada"
        ) from error


def guarded(action: Callable[[], int]) -> int:
    """The status of ``action``; what cannot be planned or built is said, and gives 1.

    An interrupt ends the process.
    """
    problem: type[Exception] = load("image").ImageError
    try:
        return action()
    except KeyboardInterrupt:
        _interrupted()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _no_space()
    except problem as error:
        first, *rest = str(error).splitlines()
        colours = palette("auto", sys.stderr)
        sys.stderr.write(f"{colours.paint('error', 'error')}: {first}\n")
        sys.stderr.write("".join(f"  {line}\n" for line in rest))
        way_out = getattr(error, "way_out", "")
        if way_out:
            sys.stderr.write(f"help: {way_out}\n")
        return 1


def _no_space() -> int:
    """Say which folder is full: the system does not, of a file that is open."""
    import tempfile

    cache = load("places").cache_folder("")
    folders = [folder for folder in (cache, os.getcwd(), tempfile.gettempdir()) if _is_full(folder)]
    sys.stderr.write(f"error: no space is left in {' and '.join(map(str, folders or [cache]))}\n")
    sys.stderr.write("help: make room; XDG_CACHE_HOME and TMPDIR put these files elsewhere\n")
    return 2


def _is_full(folder: str | os.PathLike[str]) -> bool:
    """Whether less than 64 MB are left, about the largest file that a build could not write."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < 64_000_000


def _interrupted() -> NoReturn:
    """End now: threads may be in the middle of a download, and Python would wait for them.

    What they have not finished is beside its place in the cache, where nobody takes it for whole.
    """
    sys.stderr.write("interrupted; what is finished is kept, the same command goes on from it\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(130)


def in_words(count: float) -> str:
    """A number of bytes for people: ``98.3 MB``."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
