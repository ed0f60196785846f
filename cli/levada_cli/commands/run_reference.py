"""The run of a store that a word of the command line names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from levada import project as projects
from levada_compiler.slotted import dataclass

from . import stores

if TYPE_CHECKING:
    from levada.project import Project
    from levada.store import Store
    from levada_records.runs import Run

RUN = click.argument("reference", metavar="RUN")
STORE = click.option("--store", "url", metavar="URL", help="Where the run's records are kept.")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run, its store, and the project that commands here are for."""

    run: Run
    store: Store
    project: Project


def here() -> Project:
    """The project of the current folder."""
    return projects.find(os.path.join(os.getcwd(), "pipeline.py"))


def find(reference: str, url: str | None) -> StoredRun:
    """The run that a reference names: see `named`. What names none is wrong usage."""
    from levada_records.runs import MissingRun, read_run

    project = here()
    store = stores.opened(url or stores.url(project))
    pipeline, run_id = named(reference, store)
    try:
        return StoredRun(read_run(store, pipeline, run_id), store, project)
    except MissingRun as error:
        raise click.UsageError(str(error)) from error


def named(reference: str, store: Store) -> tuple[str, str]:
    """The pipeline and the whole id of a run: ``PIPELINE/RUN_ID``, an id, its beginning, or
    ``PIPELINE@latest``.
    """  # noqa: D205
    from levada import records

    head, slash, run_id = reference.removeprefix("local:").partition("/")
    if slash:
        return head, run_id
    pipeline, at, which = reference.partition("@")
    if at and which == "latest":
        last = next(records.earlier_runs(store, pipeline, "", 1), None)
        if last is None:
            raise click.UsageError(f"the store {store.url} has no run of `{pipeline}`")
        return pipeline, last
    return _by_id(reference, store)


def _by_id(start: str, store: Store) -> tuple[str, str]:
    from levada.store import quote_name, unquote_name

    found = [
        (unquote_name(pipeline), unquote_name(name))
        for pipeline in store.list("runs")
        for name in store.list(f"runs/{pipeline}")
        if name.startswith(quote_name(start))
    ]
    whole = [each for each in found if each[1] == start]
    if len(whole or found) == 1:
        return (whole or found)[0]
    if not found:
        raise click.UsageError(f"the store {store.url} has no run `{start}`")
    shown = ", ".join("/".join(each) for each in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    raise click.UsageError(f"`{start}` may be {shown}{more}: write more of it")
