"""``levada deploy``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click
from levada_compiler.client import ClientError, NotDeployedError
from levada_compiler.output_files import OutputError
from levada_compiler.render.cells import one_line
from levada_compiler.render.colours import palette
from levada_compiler.slotted import dataclass
from levada_compiler.usage import UsageError

from levada_cli.terminal import json_text

from . import batch, configuration, console, parameters, remote, selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada_compiler.client import Change, Client, Compiled

    from .remote import Place
    from .selection import Selection


@click.command()
@parameters.REFERENCES
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
    "levada deploy --env prod    # all pipelines that pyproject.toml names",
)
def command(
    references: tuple[tuple[str, str | None], ...],
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    seconds: int | None,
    as_json: bool,
    colour: str,
) -> int:
    """Put pipelines where their engine finds them.

    All of a pipeline is put there or, if something fails, nothing. Says what changed. Takes files,
    folders and globs; without any, those of `[tool.levada] pipelines` in pyproject.toml. Nothing is
    deployed if one of them has an error; one that the engine refuses does not stop the others.
    """
    chosen = selection.select(references)
    place = remote.place(name, environment, overrides, chosen.files[0].path)

    def work() -> int:
        client = place.client()
        if chosen.is_one:
            one = remote.compiled(chosen.files[0].reference, place, client, overrides, colour)
            compiled = [one] if one is not None else None
        else:
            compiled = _compiled_several(chosen, place, client, overrides, colour)
        if compiled is None:
            return 1
        done = [_deployed(each, client, dry_run=dry_run) for each in compiled]
        if chosen.is_one and done[0].error is not None:
            raise done[0].error
        _tell(place, client, done, dry_run=dry_run, as_json=as_json, is_one=chosen.is_one)
        if seconds and not dry_run:
            _wait(client, [each.compiled for each in done if each.error is None], seconds)
        return 1 if any(each.error for each in done) else 0

    return remote.guarded(work)


@dataclass(frozen=True, slots=True)
class _Deployed:
    """What became of a pipeline; with an ``error`` nothing of it was put there."""

    compiled: Compiled
    changes: Sequence[Change] = ()
    left: str = ""
    error: ClientError | OutputError | None = None


def _compiled_several(
    chosen: Selection, place: Place, client: Client, overrides: tuple[str, ...], colour: str
) -> list[Compiled] | None:
    """Several pipelines compiled for this place; None if there are errors, which are shown.

    Raises UsageError where they are of several projects, or two of them have one name.
    """
    from levada_compiler.render import render

    choice = configuration.Choice(place.environment, overrides)
    checked = batch.check_in_turn(chosen.files, [place.target], choice)
    for each in checked:
        if each.project.root != place.project.root:
            raise UsageError(
                f"`{place.project.root}` and `{each.project.root}` are two projects: deploy the "
                "pipelines of one after those of the other"
            )
    diagnostics = [found for each in checked for found in each.diagnostics]
    sources = {file: text for each in checked for file, text in each.sources.items()}
    colours = palette(colour, sys.stderr)
    sys.stderr.write(render(diagnostics, sources, colour=colours.enabled))
    failed = sum(each.failed for each in checked)
    if failed:
        files = "1 file has" if failed == 1 else f"{failed} files have"
        console.error(f"nothing was deployed: {files} errors")
        return None
    compiled = [one for each in checked for one in remote.each_compiled(each, place, client)]
    names = [each.pipeline for each in compiled]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"two pipelines have the name `{twice[0]}`; give one of them a name by "
            "`@pipeline(name=…)`"
        )
    return compiled


def _deployed(compiled: Compiled, client: Client, *, dry_run: bool) -> _Deployed:
    try:
        changes = client.deploy(compiled, dry_run=dry_run)
        left = "" if dry_run else client.next_step(compiled)
    except (ClientError, OutputError) as error:
        return _Deployed(compiled, error=error)
    return _Deployed(compiled, changes, left)


def _tell(
    place: Place,
    client: Client,
    done: Sequence[_Deployed],
    *,
    dry_run: bool,
    as_json: bool,
    is_one: bool,
) -> None:
    changes = [change for each in done for change in each.changes]
    left = "; ".join(dict.fromkeys(each.left for each in done if each.left))
    failures = {each.compiled.pipeline: each.error for each in done if each.error is not None}
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
        if not is_one:
            document["failures"] = [
                {"pipeline": pipeline, "message": str(error), "way_out": _way_out(error) or None}
                for pipeline, error in failures.items()
            ]
        sys.stdout.write(json_text(document))
        return
    for change in changes:
        note = f"  {change.note}" if change.note else ""
        sys.stderr.write(f"{change.status:<9} {one_line(change.place + note)}\n")
    if dry_run and any(change.status != "unchanged" for change in changes):
        sys.stderr.write("nothing was written: it is a dry run\n")
    colours = palette("auto", sys.stderr)
    for pipeline, error in failures.items():
        console.error(f"`{pipeline}` was not deployed: {error}")
        if way_out := _way_out(error):
            sys.stderr.write(f"{colours.paint('help', 'help')}: {way_out}\n")
    if left:
        sys.stderr.write(f"{colours.paint('help', 'help')}: {left}\n")
    if not is_one:
        count = len(done) - len(failures)
        verb = "to deploy" if dry_run else "deployed"
        rest = f", {len(failures)} not" if failures else ""
        sys.stderr.write(f"{count} pipeline{'s' * (count != 1)} {verb}{rest}\n")


def _way_out(error: ClientError | OutputError) -> str:
    return error.way_out if isinstance(error, ClientError) else ""


def _wait(client: Client, compiled: Sequence[Compiled], seconds: int) -> None:
    """Return when the engine has what was deployed; its errors on that are raised."""
    deadline = time.monotonic() + seconds
    left = list(compiled)
    while left:
        try:
            client.verify(left[0])
        except NotDeployedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            left.pop(0)
    sys.stderr.write(f"{'ready':<9} {client.address}\n")
