"""The run that a word names, wherever it is: in the store of the project, or on a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from levada.store import StoreError
from levada_compiler.client import Run
from levada_compiler.usage import UsageError

from . import configuration, remote, run_reference, stores
from .local_runs import LocalClient, LocalTarget

if TYPE_CHECKING:
    from levada.record_types import EnginePart
    from levada_compiler.client import Client

    from .remote import Place

_LOCAL = LocalTarget.name


def find(
    reference: str,
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    url: str | None,
) -> tuple[Place, Client, Run]:
    """Find a run, by ``[TARGET[@ENVIRONMENT]:]PIPELINE/RUN_ID`` or by what names one of the store.

    Without a target it is looked for in the store first. There it says which engine ran it, and in
    which environment.
    """
    own, colon, _ = reference.partition("/")[0].partition(":")
    target = name or (own if colon and "/" in reference else None)
    if environment or overrides or target not in (None, _LOCAL):
        return remote.find(reference, name, environment, overrides)
    try:
        found = run_reference.find(reference, url)
    except click.UsageError as error:
        if "/" not in reference:
            form = "[TARGET[@ENVIRONMENT]:]PIPELINE/RUN_ID"
            raise click.UsageError(f"{error.message}; a run on a target is {form}") from error
        if target == _LOCAL or url or not _has_targets():
            raise
        return remote.find(reference, name, environment, overrides)
    except StoreError:
        if "/" not in reference:
            raise
        return remote.find(reference, name, environment, overrides)
    run = Run(found.run.pipeline, found.run.run_id)
    document = found.run.document
    part: EnginePart = document["engine"] if document is not None else {"name": _LOCAL}
    engine = part.get("name")
    if engine and engine != _LOCAL:
        whole = f"{run.pipeline}/{run.run_id}"
        return remote.find(whole, engine, part.get("environment"), overrides)
    stand_in: Any = LocalTarget()
    at = remote.Place(stand_in, None, {"store": found.store.url}, found.project)
    return at, LocalClient(found.store), run


def _has_targets() -> bool:
    """Whether the project has a target that a run may be on."""
    try:
        return bool(configuration.tables(stores.here()))
    except UsageError:
        return True
