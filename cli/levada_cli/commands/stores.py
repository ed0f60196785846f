"""The store of a project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from levada.project import Project, ProjectError
    from levada.store import Store


def here() -> Project:
    """The project of the current folder."""
    from levada import project as projects

    return projects.find(os.path.join(os.getcwd(), "pyproject.toml"))


def url(project: Project) -> str:
    """``LEVADA_STORE``, else the project's setting, else ``.levada`` at its root."""
    from levada.project import ProjectError

    try:
        return project.store_url
    except ProjectError as error:
        raise click.UsageError(in_words(error)) from error


def settings(project: Project) -> dict[str, object]:
    """The table ``[tool.levada]``; what is wrong with the file is wrong usage."""
    from levada.project import ProjectError

    try:
        return project.settings
    except ProjectError as error:
        raise click.UsageError(in_words(error)) from error


def in_words(error: ProjectError) -> str:
    """Say what is wrong with a pyproject.toml, and where: ``pyproject.toml:3:9: …``."""
    from levada_compiler.output_files import display_path

    places = [str(place) for place in (error.line, error.column) if place]
    return f"{':'.join([display_path(error.file), *places])}: {error.message}"


def opened(place: str) -> Store:
    """The store of this URL; what is wrong with it is wrong usage."""
    from levada.store import StoreError, open_store

    try:
        return open_store(place)
    except (StoreError, OSError) as error:
        raise click.UsageError(f"cannot use the store `{place}`: {error}") from error
