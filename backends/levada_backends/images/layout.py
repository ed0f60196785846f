"""Where the code of a project is in an image, with the packages that are beside the project.

A package that the project takes from ``../components/bq`` is found by that path from the
project's folder in the image too. So the project is as far below the folder of all code as such
paths lead up from it: ``/app/project`` is the project, and ``/app/components/bq`` the package.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from .image import CODE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = "project"


def project_folder(names: Iterable[str]) -> str:
    """Return the project's folder in an image that has files of these names, relative to it."""
    parts = [name.split("/") for name in names]
    depth = max((each.count("..") for each in parts), default=0)
    beside = {part for each in parts if ".." in each for part in each}
    own = _NAME
    while own in beside:
        own += "_"
    return posixpath.join(CODE_FOLDER, *[own] * depth)


def place(project: str, name: str) -> str:
    """Return the path below the folder of all code of a file that is named from the project's."""
    return posixpath.relpath(posixpath.join(project, name), CODE_FOLDER)
