"""The names of the files in a locked wheel or source archive, and its metadata."""

from __future__ import annotations

import re
import tarfile
import zipfile
from typing import TYPE_CHECKING

from . import wheels
from .image import ImageError

if TYPE_CHECKING:
    from .image import Wheel

_IN_WHEEL = re.compile(r"[^/]+\.dist-info/METADATA")
_IN_SDIST = re.compile(r"[^/]+/PKG-INFO")


def read_archive(wheel: Wheel) -> tuple[list[str], str]:
    """Give the names, as they are in the archive, and the text of METADATA or PKG-INFO.

    Raises ImageError if the file cannot be had, or is not the archive that its name says.
    """
    try:
        if wheel.filename.endswith(".whl"):
            with wheels.open_remote(wheel) as stream, zipfile.ZipFile(stream) as archive:
                return _zipped(archive, _IN_WHEEL)
        path = wheels.fetch(wheel)
        if wheel.filename.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return _zipped(archive, _IN_SDIST)
        with tarfile.open(path) as tar:
            return _tarred(tar)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ImageError(f"`{wheel.filename}` cannot be read: {error}") from error


def _zipped(archive: zipfile.ZipFile, pattern: re.Pattern[str]) -> tuple[list[str], str]:
    names = archive.namelist()
    metadata = next((name for name in names if pattern.fullmatch(name)), None)
    text = archive.read(metadata).decode("utf-8", "replace") if metadata else ""
    return names, text


def _tarred(archive: tarfile.TarFile) -> tuple[list[str], str]:
    names = archive.getnames()
    metadata = next((name for name in names if _IN_SDIST.fullmatch(name)), None)
    file = archive.extractfile(metadata) if metadata else None
    return names, file.read().decode("utf-8", "replace") if file else ""
