"""``levada deploy``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click
from levada_compiler.client import NotDeployedError
from levada_compiler.render.cells import one_line
from levada_compiler.render.colours import palette

from levada_cli.terminal import json_text

from . import console, parameters, remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.client import Change, Client, Compiled

    from .remote import Place


@click.command()
@parameters.REFERENCE
@remote.TARGET
@parameters.ENVIRONMENT
@parameters.SET
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--wait",
    "seconds",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Wait until the engine has it, for so long at most.",
)
@remote.JSON
@console.COLOUR
@console.examples(
    "levada deploy pipeline.py --target airflow --env prod --dry-run",
    "levada deploy pipeline.py --target airflow --env prod --wait 120",
)
def command(
    reference: tuple[str, str | None],
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    seconds: int | None,
    as_json: bool,
    colour: str,
) -> int:
    """Put a pipeline where its engine finds it.

    All of it is put there or, if something fails, nothing. Says what changed.
    """

    def work() -> int:
        place = remote.place(name, environment, overrides, reference[0])
        client = place.client()
        compiled = remote.compiled(reference, place, client, overrides, colour)
        if compiled is None:
            return 1
        changes = client.deploy(compiled, dry_run=dry_run)
        left = "" if dry_run else client.next_step(compiled)
        _tell(place, client, changes, left, dry_run=dry_run, as_json=as_json)
        if seconds and not dry_run:
            _wait(client, compiled, seconds)
        return 0

    return remote.guarded(work)


def _tell(
    place: Place,
    client: Client,
    changes: Sequence[Change],
    left: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    if as_json:
        document: dict[str, Any] = {
            "target": place.target.name,
            "environment": place.environment,
            "address": client.address,
            "dry_run": dry_run,
            "changes": [
                {"place": change.place, "status": change.status, "note": change.note or None}
                for change in changes
            ],
            "next_step": left or None,
        }
        sys.stdout.write(json_text(document))
        return
    for change in changes:
        note = f"  {change.note}" if change.note else ""
        sys.stderr.write(f"{change.status:<9} {one_line(change.place + note)}\n")
    if dry_run and any(change.status != "unchanged" for change in changes):
        sys.stderr.write("nothing was written: it is a dry run\n")
    if left:
        sys.stderr.write(f"{palette('auto', sys.stderr).paint('help', 'help')}: {left}\n")


def _wait(client: Client, compiled: Compiled, seconds: int) -> None:
    """Return when the engine has what was deployed; its errors on that are raised."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.verify(compiled)
        except NotDeployedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            sys.stderr.write(f"{'ready':<9} {client.address}\n")
            return
