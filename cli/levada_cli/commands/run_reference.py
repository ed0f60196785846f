"""The run of a store that a word of the command line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from levada_compiler.slotted import dataclass

from . import indexed, stores

if TYPE_CHECKING:
    from levada.project import Project
    from levada.store import Store
    from levada_records.runs import Run


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run, its store, and the project that commands here are for."""

    run: Run
    store: Store
    project: Project


def find(reference: str, url: str | None) -> StoredRun:
    """The run that a reference names: see `named`. What names none is wrong usage."""
    from levada_records.runs import MissingRun, read_run

    project = stores.here()
    store = stores.opened(url or stores.url(project))
    pipeline, run_id = named(reference, store, url)
    try:
        return StoredRun(read_run(store, pipeline, run_id), store, project)
    except MissingRun as error:
        raise click.UsageError(str(error)) from error


def named(reference: str, store: Store, url: str | None) -> tuple[str, str]:
    """The pipeline and the whole id of the run that a reference means.

    A whole name, ``PIPELINE/RUN_ID``, is looked for in the store itself; all else in its index.
    """
    from levada import records

    own = reference.removeprefix("local:")
    pipeline, slash, run_id = own.partition("/")
    if slash and run_id and "run.json" in store.list(records.run_path(pipeline, run_id)):
        return pipeline, run_id
    with indexed.opened(url) as index:
        return indexed.run(index, own)
