"""The index of a store, as commands open it: which store and database, and what goes wrong."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from . import console, stores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.project import Project
    from levada_records.index import Index

#: A database that a team shares, as a URL.
_DATABASE = "LEVADA_INDEX"

STORE = click.option(
    "--store",
    "store",
    metavar="URL",
    help="Where the runs are recorded; by default the store of the project here.",
)
RUN = click.argument("reference", metavar="RUN")


@contextmanager
def opened(store: str | None, *, sync: bool = True) -> Iterator[Index]:
    """Open the index of a store; without ``sync`` as it is, without a look at the store.

    Warnings of the index go to stderr. What is wrong with a store, a database or a record becomes
    an error in words.
    """
    from levada.store import StoreError
    from levada_records.index import IndexUnusable, open_index

    project = stores.here()
    place = stores.opened(store or stores.url(project))
    try:
        with open_index(place, database=_database(project), sync=sync) as index:
            for warning in index.warnings:
                console.warning(warning)
            yield index
    except (StoreError, IndexUnusable) as error:
        raise click.ClickException(str(error)) from error


def rebuild(index: Index) -> None:
    """Read the whole store into the index anew; its new warnings go to stderr."""
    said = len(index.warnings)
    index.rebuild()
    for warning in index.warnings[said:]:
        console.warning(warning)


def run(index: Index, reference: str) -> tuple[str, str]:
    """The pipeline and the id of the run that a reference means; wrong usage if there is none."""
    from levada_records.references import ReferenceError_, find_run

    try:
        return find_run(index, reference)
    except ReferenceError_ as error:
        raise click.UsageError(str(error)) from error


def complete_pipeline(ctx: click.Context, _: click.Parameter, start: str) -> list[str]:
    """The pipelines that have runs, for the shell: from the index here, which may be behind."""
    from levada_records.references import pipelines

    try:
        with opened(ctx.params.get("store"), sync=False) as index:
            return [name for name in pipelines(index) if name.startswith(start)]
    except Exception:  # noqa: BLE001  a completion says nothing
        return []


def _database(project: Project) -> str | None:
    found: object
    found = os.environ.get(_DATABASE)
    if found:
        return found
    found = stores.settings(project).get("index")
    if found is None or isinstance(found, str):
        return found or None
    raise click.UsageError("[tool.levada] index in pyproject.toml must be a string")
