"""Files in an output folder: read to compare, and written all or none.

Imports little: a compile that hits the cache reads and writes its files here.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class OutputError(Exception):
    """The files cannot be written (or read to compare); the text is for the user."""


def read(folder: str, paths: dict[str, bytes]) -> dict[str, bytes | None]:
    """What is in the files of these paths now; None where there is none."""
    found: dict[str, bytes | None] = {}
    for path in paths:
        place = os.path.join(folder, path)
        try:
            if not is_replaceable(place):
                raise OutputError(f"`{display_path(place)}` is not a regular file")
            if leads_out(folder, path):
                raise OutputError(
                    f"`{display_path(place)}` is a link that leads out of the folder: remove it"
                )
            with open(place, "rb") as file:
                found[path] = file.read()
        except FileNotFoundError:
            found[path] = None
        except OSError as error:
            raise OutputError(_cannot("read", place, error)) from error
    return found


def is_replaceable(place: str) -> bool:
    """Whether a file may be made here or put in the place of what there is: no device, no pipe.

    Of a folder the answer is True as well: reading it says what is wrong.
    """
    if not os.path.exists(place):
        return True
    mode = os.stat(place).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def leads_out(folder: str, path: str) -> bool:
    """Return whether a path below a folder leads out of it by symbolic links."""
    inside = os.path.realpath(folder)
    place = os.path.realpath(os.path.join(inside, path))
    return os.path.commonpath((inside, place)) != inside


def write(folder: str, contents: dict[str, bytes], before: dict[str, bytes | None]) -> None:
    """Write the files that differ from ``before``: all of them, or none if one cannot be.

    Each is written beside its place and renamed, so that a reader never sees half a file.

    Raises:
        OutputError: something failed; what was there before is there again.
    """
    changed = {path: data for path, data in contents.items() if before[path] != data}
    made: list[str] = []
    staged: dict[str, str] = {}
    done: list[str] = []
    place = folder
    try:
        for path, data in changed.items():
            place = os.path.realpath(os.path.join(folder, path))
            _make_folders(os.path.dirname(place), made)
            staged[path] = _beside(place, len(staged))
            with open(staged[path], "wb") as file:
                file.write(data)
            if before[path] is not None:  # who may read it stays as it is
                os.chmod(staged[path], os.stat(place).st_mode & 0o7777)
        for path, temporary in staged.items():
            place = os.path.realpath(os.path.join(folder, path))
            os.replace(temporary, place)
            done.append(path)
    except BaseException as error:  # Ctrl-C in the middle too
        _undo(folder, staged, done, before, made)
        if isinstance(error, OSError):
            raise OutputError(_cannot("write", place, error)) from error
        raise


def _beside(place: str, number: int) -> str:
    directory, name = os.path.split(place)
    return os.path.join(directory, f".{name[:200]}.{os.getpid()}.{number}.tmp")


def _make_folders(folder: str, made: list[str]) -> None:
    missing = []
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path)
        made.append(path)


def _undo(
    folder: str,
    staged: dict[str, str],
    done: list[str],
    before: dict[str, bytes | None],
    made: list[str],
) -> None:
    for path in done:
        place, old = os.path.realpath(os.path.join(folder, path)), before[path]
        _quietly(os.unlink, place)
        if old is not None:
            with open(place, "wb") as file:
                file.write(old)
    for temporary in staged.values():
        _quietly(os.unlink, temporary)
    for path in reversed(made):
        _quietly(os.rmdir, path)


def _quietly(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except OSError:
        return


def _cannot(verb: str, place: str, error: OSError) -> str:
    shown = display_path(place)
    blocker = place
    while blocker and not os.path.lexists(blocker):
        blocker = os.path.dirname(blocker)
    if blocker != place and blocker and not os.path.isdir(blocker):
        return f"`{display_path(blocker)}` is a file, not a folder"
    if os.path.isdir(place):
        return f"`{shown}` is a folder, not a file"
    return f"cannot {verb} `{shown}`: {error.strerror or error}"


def display_path(path: str) -> str:
    """The path as the user would type it: from the current folder if it is in there."""
    here = os.getcwd()
    absolute = os.path.normpath(os.path.join(here, path))
    prefix = here.rstrip(os.sep) + os.sep
    return absolute[len(prefix) :] if absolute.startswith(prefix) else absolute
