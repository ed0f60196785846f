"""``levada replay``."""

from __future__ import annotations

import sys

import click

from levada_cli.terminal import json_text

from . import console, indexed, remote, replaying, rerunning


@click.command()
@indexed.RUN
@click.argument("step", metavar="STEP")
@click.option(
    "--attempt", "number", type=click.IntRange(min=1), metavar="N", help="By default the last."
)
@rerunning.CODE
@rerunning.PARTIAL
@rerunning.SOURCE
@click.option("--pdb", "at_failure", is_flag=True, help="If the step fails, debug it there.")
@click.option("--break", "at_start", is_flag=True, help="Stop at the step's first line.")
@indexed.STORE
@remote.JSON
@console.COLOUR
@console.examples(
    "levada replay churn@latest train",
    "levada replay churn/20260101-060000-1f3a9c 'fit[2]' --pdb",
    "levada replay churn@latest train --break",
    "levada replay churn@latest train --code recorded --json",
)
def command(
    reference: str,
    step: str,
    number: int | None,
    which: str,
    may_be_partial: bool,
    source: tuple[str, str | None] | None,
    at_failure: bool,
    at_start: bool,
    store: str | None,
    as_json: bool,
    colour: str,
) -> int:
    """Run one step of a run on its recorded inputs, here.

    What it returns is compared with what it returned then. Nothing is recorded. Secrets come from
    the environment, as in a run. `--code recorded` runs code that is in the store: whoever can
    write to the store can change it. Exits 1 if the step fails.
    """
    if at_failure and at_start:
        raise click.UsageError("--break stops before anything fails; leave out --pdb")
    colours = console.palette(colour, sys.stderr)
    found = rerunning.stored(reference, store)
    record = replaying.recorded(found.run, step, number)
    with rerunning.code(found, which, source, colours, may_be_partial=may_be_partial) as chosen:
        if chosen is None:
            return 1
        debug = "start" if at_start else "failure" if at_failure else ""
        replayed = replaying.replay(found, chosen, record, which, debug, quiet=as_json)
    sys.stderr.write(replayed.text(colours))
    if as_json:
        sys.stdout.write(json_text(replayed.as_json()))
    return replayed.status
