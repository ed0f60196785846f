"""The store of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from levada.project import Project
    from levada.store import Store


def url(project: Project) -> str:
    """``LEVADA_STORE``, else the project's setting, else ``.levada`` at its root."""
    from levada.project import ProjectError

    try:
        return project.store_url
    except ProjectError as error:
        raise click.UsageError(error.message) from error


def opened(place: str) -> Store:
    """The store of this URL; what is wrong with it is wrong usage."""
    from levada.store import StoreError, open_store

    try:
        return open_store(place)
    except (StoreError, OSError) as error:
        raise click.UsageError(f"cannot use the store `{place}`: {error}") from error
