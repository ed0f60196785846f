"""The store of a project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from levada.project import Project
    from levada.store import Store


def url(project: Project) -> str:
    """``LEVADA_STORE``, else the project's setting, else ``.levada`` at its root."""
    if os.environ.get("LEVADA_STORE"):
        return os.environ["LEVADA_STORE"]
    setting = project.settings.get("store", ".levada")
    if not isinstance(setting, str):
        raise click.UsageError("[tool.levada] store in pyproject.toml must be a string")
    return setting if "://" in setting else os.path.join(project.root, setting)


def opened(place: str) -> Store:
    """The store of this URL; what is wrong with it is wrong usage."""
    from levada.store import StoreError, open_store

    try:
        return open_store(place)
    except (StoreError, OSError) as error:
        raise click.UsageError(f"cannot use the store `{place}`: {error}") from error
