"""``levada rerun``."""

from __future__ import annotations

import os
import sys

import click

from . import console, indexed, parameters, remote, rerunning


@click.command()
@indexed.RUN
@parameters.PARAM
@parameters.PARAMS_FILE
@click.option(
    "--from",
    "first",
    metavar="STEP",
    help="Run this step and what depends on it; take all else from the run. `fit` or `fit[2]`.",
)
@rerunning.CODE
@rerunning.PARTIAL
@rerunning.SOURCE
@click.option(
    "--target",
    "-t",
    "name",
    metavar="NAME",
    shell_complete=parameters.complete_target,
    help="Submit it there; without it and without --env it runs here.",
)
@parameters.ENVIRONMENT
@parameters.SET
@indexed.STORE
@click.option("--run-id", metavar="ID", help="The name of the new run; by default made up.")
@click.option(
    "--max-parallel",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many steps run at once; by default one a CPU.",
)
@click.option("--no-cache", is_flag=True, help="Run every step, and keep no results for later.")
@click.option("--explain-cache", is_flag=True, help="Say why each step was cached or was not.")
@click.option("--watch", is_flag=True, help="With --target: show it until it is over.")
@remote.JSON
@console.COLOUR
@console.examples(
    "levada rerun churn@latest",
    "levada rerun 20260101-060000-1f3a9c --param depth=5",
    "levada rerun churn/20260101-060000-1f3a9c --from train",
    "levada rerun churn/20260101-060000-1f3a9c --code recorded --json",
    "levada rerun churn@latest --target airflow --env prod --watch",
)
def command(
    reference: str,
    given: tuple[str, ...],
    file: str | None,
    first: str | None,
    which: str,
    may_be_partial: bool,
    source: tuple[str, str | None] | None,
    name: str | None,
    environment: str | None,
    overrides: tuple[str, ...],
    store: str | None,
    run_id: str | None,
    max_parallel: int | None,
    no_cache: bool,
    explain_cache: bool,
    watch: bool,
    as_json: bool,
    colour: str,
) -> int:
    """Start a run again, with its parameters.

    RUN is named as for `levada show`: an id, the beginning of one, PIPELINE@latest and so on. It
    runs here, or on a target with --target. `--code recorded` runs code that is in the store:
    whoever can write to the store can change it. Exits 1 if the run fails.
    """
    colours = console.palette(colour, sys.stderr)
    found = rerunning.stored(reference, store)
    file = file and os.path.abspath(file)  # recorded code has another current folder
    if name or environment or overrides:
        if first or no_cache or explain_cache or max_parallel:
            raise click.UsageError(
                "--from, --max-parallel, --no-cache and --explain-cache are for a run here; to run"
                " again what failed on a target: levada retry"
            )
        from .resubmitting import resubmit

        place = (name, environment, overrides)
        return remote.guarded(
            lambda: resubmit(
                *(found, which, source, place, given, file),
                may_be_partial=may_be_partial,
                run_id=run_id,
                watch=watch,
                as_json=as_json,
                colour=colour,
            )
        )
    if watch:
        raise click.UsageError("--watch is for --target: a run here is shown")
    with rerunning.code(found, which, source, colours, may_be_partial=may_be_partial) as chosen:
        if chosen is None:
            return 1
        earlier = rerunning.earlier_run(found.run, chosen.plan, first) if first else None
        return rerunning.start(
            found,
            chosen,
            link="rerun_of",
            given=given,
            file=file,
            earlier=earlier,
            colours=colours,
            explain_cache=explain_cache,
            as_json=as_json,
            run_id=run_id,
            max_parallel=max_parallel,
            cache=not no_cache,
        )
